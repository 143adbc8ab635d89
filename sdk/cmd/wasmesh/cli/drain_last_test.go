package cli

import (
	"strings"
	"testing"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/protobuf/proto"
)

// beside is another host like this one.
func beside(like *host, namespace, runtime string) *host {
	h := proto.CloneOf(like)
	h.Hello.Namespace, h.Hello.Runtime, h.Hello.HostId = namespace, runtime, runtime+"-1"
	return h
}

// The service of a runtime does not go with its last host unless somebody insists.
func TestDrainOfTheLastHost(t *testing.T) {
	const host, refused = "mlserver-1.x-0", "is the only one of runtime mlserver-1.x in namespace default that is ready: "
	for _, test := range []struct {
		name   string
		change func(*mesh)
		args   []string
		err    string
	}{
		{"alone", func(*mesh) {}, nil, refused + "1 model on it would have nowhere to go"},
		{"forced", func(*mesh) {}, []string{"--force"}, ""},
		{"one of another runtime", func(m *mesh) { m.hosts = append(m.hosts, beside(m.hosts[1], "default", "triton")) }, nil, refused + "1 model"},
		{"one that can hold the model", func(m *mesh) {
			m.hosts = append(m.hosts, beside(m.hosts[1], "default", "triton"))
			m.models[0].Model.Runtimes = []string{"mlserver-1.x", "triton"}
		}, nil, refused + "0 models"},
		{"one of another namespace", func(m *mesh) { m.hosts = append(m.hosts, beside(m.hosts[1], "other", "mlserver-1.x")) }, nil, refused},
		{"another that leaves", func(m *mesh) {
			m.hosts = append(m.hosts, beside(m.hosts[1], "default", "mlserver-1.x"))
			m.hosts[2].Draining = &syncv1.Draining{}
		}, nil, refused},
		{"another", func(m *mesh) { m.hosts = append(m.hosts, beside(m.hosts[1], "default", "mlserver-1.x")) }, nil, ""},
		{"it leaves already", func(m *mesh) { m.hosts[1].Draining = &syncv1.Draining{} }, nil, ""},
		{"its runtime is away", func(m *mesh) { m.hosts[1].RuntimeState = syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE }, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := digits()
			m.drains = []*adminv1.DrainHostResponse{left(step(1, 1, 0, true))}
			test.change(m)
			m.serve(t)
			_, _, err := m.run(t, append([]string{"drain", host}, test.args...)...)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if asked := m.drained.Load() != nil; asked != (test.err == "") {
				t.Errorf("the controller was asked: %v", asked)
			}
		})
	}
}

// A namespace chooses among hosts of one name; without it there must be one only.
func TestDrainInANamespace(t *testing.T) {
	m := digits()
	m.hosts = append(m.hosts, beside(m.hosts[1], "default", "mlserver-1.x"), beside(m.hosts[1], "other", "mlserver-1.x"))
	m.drains = []*adminv1.DrainHostResponse{left(step(1, 1, 0, true))}
	m.serve(t)
	_, _, err := m.run(t, "drain", "mlserver-1.x-1")
	if err == nil || err.Error() != `namespaces default, other each have a host "mlserver-1.x-1": say which with -n` || m.drained.Load() != nil {
		t.Errorf("error %v, asked %v", err, m.drained.Load())
	}
	for _, args := range [][]string{{"mlserver-1.x-1", "-n", "default"}, {"default/mlserver-1.x-1", "--namespace", "default"}, {"default/mlserver-1.x-1"}} {
		_, _, err := m.run(t, append([]string{"drain"}, args...)...)
		if asked := m.drained.Swap(nil); err != nil || asked.GetHostId() != "default/mlserver-1.x-1" {
			t.Errorf("%v: error %v, asked %v", args, err, asked)
		}
	}
	if _, _, err := m.run(t, "drain", "mlserver-1.x-1", "-n", "other"); err == nil || !strings.Contains(err.Error(), "in namespace other that is ready") {
		t.Errorf("the last of its namespace: error %v", err)
	}
}

//go:build cluster

package kubernetes

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// loadKinds are the clients that people have: both of grpc-go's policies on the headless name, and curl.
var loadKinds = []string{"pick_first", "round_robin", "curl"}

// load is a client at work in a process of its own.
type load struct {
	t       *testing.T
	kind    string
	process *exec.Cmd
	stdin   io.Closer
	lines   *bufio.Reader
	said    bytes.Buffer
}

// startLoad has a client of each kind ask the models, and returns when each has had an answer.
func (u *user) startLoad(models ...string) []*load {
	u.t.Helper()
	dns := (&user{u.t, "kube-system"}).field("service/kube-dns", ".spec.clusterIP")
	var all []*load
	for _, kind := range loadKinds {
		every := 40 * time.Millisecond
		if kind == "curl" {
			every = 100 * time.Millisecond // Each is a process.
		}
		all = append(all, u.startClient(loadSpec{
			Kind: kind, Service: "modelmesh-serving." + u.namespace + ".svc.cluster.local", DNS: net.JoinHostPort(dns, "53"),
			Models: models, Every: every,
		}))
	}
	for _, l := range all {
		line, err := l.lines.ReadString('\n')
		if err != nil || line != "first: <nil>\n" {
			u.t.Fatalf("%s: %q: %v\n%s", l.kind, line, err, l.said.String())
		}
	}
	return all
}

func (u *user) startClient(spec loadSpec) *load {
	u.t.Helper()
	self, err := os.Executable()
	if err != nil {
		u.t.Fatal(err)
	}
	what, err := json.Marshal(spec)
	if err != nil {
		u.t.Fatal(err)
	}
	c, err := theCluster.Command(u.t.Context(), self)
	if err != nil {
		u.t.Fatal(err)
	}
	l := &load{t: u.t, kind: spec.Kind, process: c}
	c.Env = append(c.Environ(), loadVariable+"="+string(what))
	c.Stderr = &l.said
	if l.stdin, err = c.StdinPipe(); err != nil {
		u.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	l.lines = bufio.NewReader(out)
	if err := c.Start(); err != nil {
		u.t.Fatal(err)
	}
	return l
}

// end stops the client and answers what it has seen.
func (l *load) end() loadReport {
	l.t.Helper()
	l.stdin.Close()
	var report loadReport
	rest, err := io.ReadAll(l.lines)
	if err == nil {
		err = l.process.Wait()
	}
	if err == nil {
		err = json.Unmarshal(rest, &report)
	}
	if err != nil || report.Sent == 0 {
		l.t.Fatalf("%s: %v\n%s\n%s", l.kind, err, rest, l.said.String())
	}
	l.t.Logf("%s: %d requests, %d failed, the longest took %v", l.kind, report.Sent, len(report.Failed), report.Longest.Round(time.Millisecond))
	return report
}

// endAll stops all clients, of whose requests none may have failed.
func endAll(t *testing.T, all []*load) {
	t.Helper()
	for _, l := range all {
		if report := l.end(); len(report.Failed) > 0 {
			f := report.Failed[0]
			t.Errorf("%s: %d of %d requests failed, the first sent at %s and after %v: %s", l.kind, len(report.Failed), report.Sent,
				f.Sent.Format(time.StampMilli), f.Ended.Sub(f.Sent), f.Error)
		}
	}
}

// loadedMesh is a user with so many hosts of the fake runtime and some models that are loaded, each request taking 20 ms.
func loadedMesh(t *testing.T, namespace string, hosts int) (u *user, models []string) {
	t.Helper()
	u = newUser(t, namespace)
	u.put(map[string]string{"model.json": `{"load_ms": 50, "service_ms": 20, "size_bytes": 1048576}`})
	u.apply(strings.Replace(fakeRuntime("fake"), "replicas: 1", fmt.Sprintf("replicas: %d", hosts), 1))
	for i := range 6 {
		models = append(models, fmt.Sprintf("m%d", i))
		u.apply(fakeModel(models[i], namespace))
	}
	u.untilField("deployment/modelmesh-serving-fake", ".status.readyReplicas", fmt.Sprint(hosts))
	for _, m := range models {
		u.untilField("isvc/"+m, ".status.modelStatus.states.activeModelState", "Loaded")
	}
	return u, models
}

// fakeModel is an InferenceService for model.json that was put below the directory.
func fakeModel(name, directory string) string {
	return fmt.Sprintf(`
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: %s
  annotations: {serving.kserve.io/deploymentMode: ModelMesh, serving.kserve.io/secretKey: localMinIO}
spec: {predictor: {model: {modelFormat: {name: fake}, storageUri: "s3://modelmesh-example-models/%s/model.json"}}}
`, name, directory)
}

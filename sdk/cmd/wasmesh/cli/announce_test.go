package cli

import (
	"fmt"
	"strings"
	"testing"
)

// look runs the announcement's look at the mesh as often as its state changes, and answers what was said.
func look(t *testing.T, m *mesh, dataDir string, states ...func()) (said string, done bool) {
	t.Helper()
	client, err := dialLocal(m.dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	var out strings.Builder
	a := &announcer{client: client, out: &out, program: "bin/wasmesh", dataDir: dataDir, hints: true, said: make(map[string]bool)}
	for _, change := range append(states, func() {}) {
		if done {
			t.Fatal("the announcement ended before the last change")
		}
		if done, err = a.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		change()
	}
	return out.String(), done
}

func TestAnnounceSaysWhatToTypeNext(t *testing.T) {
	m := digits()
	m.objects["InferenceService"] = []object{serviceObject("digits", pendingStatus)}
	m.serve(t)
	said, done := look(t, m, "/tmp/my mesh", func() {
		m.objects["InferenceService"] = []object{serviceObject("digits", loadedStatus)}
	})
	const want = `InferenceService digits: Loaded
The mesh is up; Ctrl-C stops it. Try, in another terminal:
  bin/wasmesh get isvc --data-dir '/tmp/my mesh'
  bin/wasmesh describe isvc digits --data-dir '/tmp/my mesh'
  curl http://127.0.0.1:8009/v2/models/digits
`
	if !done || said != want {
		t.Errorf("done %v, said:\n%swant:\n%s", done, said, want)
	}
}

func TestAnnounceSaysWhyTheFirstServiceFails(t *testing.T) {
	m := digits()
	m.objects["InferenceService"] = []object{serviceObject("broken", failedStatus), serviceObject("digits", pendingStatus)}
	m.warnings = []string{"bad.yaml:3: not YAML"}
	m.serve(t)
	said, done := look(t, m, defaultDataDir, func() {}, func() {
		m.objects["InferenceService"][1] = serviceObject("digits", loadedStatus)
	})
	const want = `Warning: bad.yaml:3: not YAML
InferenceService broken failed: ModelLoadFailed: no such bucket; see ` + "`bin/wasmesh describe isvc broken`" + `
InferenceService digits: Loaded
The mesh is up; `
	if !done || !strings.HasPrefix(said, want) {
		t.Errorf("done %v, said:\n%swant:\n%s", done, said, want)
	}
}

func TestAnnounceGoesOnWhenEverythingFails(t *testing.T) {
	m := digits()
	m.objects["InferenceService"] = nil
	m.objects["Predictor"] = []object{{"default", "old", `{"kind":"Predictor","metadata":{"name":"old","namespace":"default"},
		"status":{"activeModelState":"FailedToLoad","transitionStatus":"InvalidSpec","lastFailureInfo":{"reason":"InvalidPredictorSpec","message":"no path"}}}`}}
	m.serve(t)
	said, done := look(t, m, defaultDataDir, func() {})
	for _, want := range []string{
		"Predictor old failed: InvalidPredictorSpec: no path; see `bin/wasmesh describe predictor old`\n",
		"no model could be loaded",
		"\n  bin/wasmesh describe predictor old\n",
	} {
		if strings.Count(said, want) != 1 {
			t.Errorf("not once %q in:\n%s", want, said)
		}
	}
	if done {
		t.Error("nobody is left to say when the file has been put right")
	}
}

// A service that the controller remembers as ready cannot be asked before its host is there.
func TestAnnounceWaitsForTheHost(t *testing.T) {
	m := digits()
	m.hosts[1].Connected = false
	m.serve(t)
	if said, done := look(t, m, defaultDataDir); done || said != "" {
		t.Errorf("done %v, said:\n%s", done, said)
	}
}

func TestAnnounceBoundsFailures(t *testing.T) {
	m := digits()
	m.objects["InferenceService"] = []object{serviceObject("pending", pendingStatus)}
	for i := range 100 {
		m.objects["InferenceService"] = append(m.objects["InferenceService"], serviceObject(fmt.Sprint("broken-", i), failedStatus))
	}
	m.serve(t)
	said, _ := look(t, m, defaultDataDir, func() {})
	if got := len(rows(said)); got != maxFailures+1 || !strings.Contains(said, "more services failed") {
		t.Errorf("%d lines:\n%s", got, said)
	}
}

func TestAnnounceTellsWhatChangesLater(t *testing.T) {
	statusOf := func(name, status string) service {
		services, err := servicesOf(kindService, []string{serviceObject(name, status).json})
		if err != nil {
			t.Fatal(err)
		}
		return services[0]
	}
	const (
		standby  = `{"transitionStatus":"UpToDate","states":{"activeModelState":"Standby"}}`
		loading  = `{"transitionStatus":"UpToDate","states":{"activeModelState":"Loading"}}`
		changing = `{"transitionStatus":"InProgress","states":{"activeModelState":"Loaded"}}`
	)
	var out strings.Builder
	a := &announcer{out: &out, program: "wasmesh", dataDir: defaultDataDir}
	a.news.note([]service{statusOf("digits", loadedStatus)}, nil)
	for _, step := range []struct {
		status, warning, want string
	}{
		{loadedStatus, "", ""},
		{standby, "", ""},
		{loading, "", ""},
		{loadedStatus, "a.yaml:3: not YAML", "Warning: a.yaml:3: not YAML\n"},
		{loadedStatus, "a.yaml:3: not YAML", ""},
		{changing, "", "InferenceService digits: Loaded / InProgress\n"},
		{failedStatus, "", "InferenceService digits failed: ModelLoadFailed: no such bucket\n"},
		{failedStatus, "", ""},
		{loadedStatus, "", "InferenceService digits: Loaded / UpToDate\n"},
		{loadedStatus, "a.yaml:3: not YAML", "Warning: a.yaml:3: not YAML\n"},
		{"", "", "InferenceService digits: deleted\n"},
	} {
		var services []service
		var warnings []string
		if step.status != "" {
			services = []service{statusOf("digits", step.status)}
		}
		if step.warning != "" {
			warnings = []string{step.warning}
		}
		out.Reset()
		a.tell(kindService, services, warnings)
		a.tell(kindPredictor, nil, nil) // another kind's list is no news about this one
		if out.String() != step.want {
			t.Errorf("%+v: said %q", step, out.String())
		}
	}
	var many []service
	for i := range 100 {
		many = append(many, statusOf(fmt.Sprint("new-", i), pendingStatus))
	}
	out.Reset()
	a.tell(kindService, many, nil)
	if got := rows(out.String()); len(got) != maxNews+1 || got[maxNews] != "90 more changed; `wasmesh get isvc -o wide` shows them" {
		t.Errorf("said:\n%s", out.String())
	}
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8008": "127.0.0.1:8008", ":8008": "127.0.0.1:8008", "0.0.0.0:8008": "127.0.0.1:8008",
		"[::]:8008": "127.0.0.1:8008", "mesh.example:8008": "mesh.example:8008", "10.1.2.3:8008": "10.1.2.3:8008",
	} {
		if got := reachable(address); got != want {
			t.Errorf("reachable(%q) = %q, want %q", address, got, want)
		}
	}
}

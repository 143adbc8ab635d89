package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestGetServices(t *testing.T) {
	m := digits()
	m.warnings = []string{"/models/bad.yaml:3: mapping values are not allowed"}
	m.serve(t)
	out, errs, err := m.run(t, "get", "isvc")
	if err != nil {
		t.Fatal(err)
	}
	got := rows(out)
	if len(got) != 2 || got[0] != "NAME URL READY PREV LATEST PREVROLLEDOUTREVISION LATESTREADYREVISION AGE" ||
		!strings.HasPrefix(got[1], "digits grpc://127.0.0.1:8033 True ") {
		t.Errorf("table:\n%s", out)
	}
	if errs != "Warning: /models/bad.yaml:3: mapping values are not allowed\n" {
		t.Errorf("standard error: %q", errs)
	}
}

func TestGetJSON(t *testing.T) {
	m := digits().serve(t)
	var list struct {
		APIVersion, Kind string
		Items            []struct {
			Kind   string
			Status struct{ URL string }
		}
	}
	decode(t, m, &list, "get", "isvc", "-o", "json")
	if list.APIVersion != "v1" || list.Kind != "List" || len(list.Items) != 1 || list.Items[0].Status.URL != "grpc://127.0.0.1:8033" {
		t.Errorf("list: %+v", list)
	}
	var one struct {
		Kind     string
		Metadata struct {
			Name       string
			Generation int
		}
	}
	decode(t, m, &one, "get", "isvc", "digits", "-o", "json")
	if one.Kind != "InferenceService" || one.Metadata.Name != "digits" || one.Metadata.Generation != 2 {
		t.Errorf("object: %+v", one)
	}
	var none struct {
		Kind  string
		Items []any
	}
	decode(t, m, &none, "get", "predictors", "-o", "json")
	if none.Kind != "List" || none.Items == nil || len(none.Items) != 0 {
		t.Errorf("empty list: %+v", none)
	}
	out, _, err := m.run(t, "get", "isvc", "digits", "-o", "yaml")
	if err != nil || !strings.Contains(out, "\n  generation: 2\n") {
		t.Errorf("YAML, %v:\n%s", err, out)
	}
}

func decode(t *testing.T, m *mesh, into any, args ...string) {
	t.Helper()
	out, _, err := m.run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
}

func TestGetModels(t *testing.T) {
	m := digits()
	of := func(id string, runtimes ...string) *model {
		return &model{Model: &syncv1.Model{Namespace: "default", Id: id, Alias: "digits", Runtimes: runtimes}}
	}
	target, leaving := of("digits__isvc-9876543210"), of("digits__isvc-0000000000", "fake")
	target.Target = true
	m.models = append(m.models, target, leaving)
	m.serve(t)
	out, _, err := m.run(t, "get", "models")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"MODEL ALIAS ROLE STATE COPIES SIZE LAST-USED HOSTS",
		"digits__isvc-0123456789 digits active Loaded 1 3.0Mi <none> mlserver-1.x-0",
		"digits__isvc-9876543210 digits target NoRuntime 0 <none> <none> <none>",
		"digits__isvc-0000000000 digits leaving NotLoaded 0 <none> <none> <none>",
	}
	for i, row := range rows(out) {
		if i >= len(want) || row != want[i] {
			t.Fatalf("table:\n%swant %q", out, want)
		}
	}
	out, _, err = m.run(t, "get", "models", "digits__isvc-0123456789", "-o", "wide")
	if err != nil || len(rows(out)) != 2 || !strings.Contains(rows(out)[1], "sklearn mlserver-1.x sklearn/digits") {
		t.Errorf("one model, %v:\n%s", err, out)
	}
	var one struct{ Active bool }
	decode(t, m, &one, "get", "models", "digits__isvc-0123456789", "-o", "json")
	if !one.Active {
		t.Error("JSON of the active model does not say that it is")
	}
}

func TestGetHosts(t *testing.T) {
	m := digits()
	m.hosts[0].Connected = false
	m.serve(t)
	out, _, err := m.run(t, "get", "hosts")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"HOST RUNTIME ZONE STATUS MODELS USED CAPACITY GRPC REST",
		"fake-0 fake <none> Disconnected 0 0 512Mi 127.0.0.1:8033 127.0.0.1:8008",
		"mlserver-1.x-0 mlserver-1.x <none> Ready 1 3.0Mi 1.0Gi 127.0.0.1:8034 127.0.0.1:8009",
	}
	for i, row := range rows(out) {
		if i >= len(want) || row != want[i] {
			t.Fatalf("table:\n%swant %q", out, want)
		}
	}
	out, _, err = m.run(t, "get", "hosts", "mlserver-1.x-0", "-o", "wide")
	if err != nil || len(rows(out)) != 2 || !strings.HasSuffix(rows(out)[1], "127.0.0.1:2113 <none> 0 0 4 2.7") {
		t.Errorf("one host, %v:\n%s", err, out)
	}
}

func TestGetWatchPrintsEachChange(t *testing.T) {
	m := digits()
	m.objects["InferenceService"] = []object{serviceObject("digits", pendingStatus), serviceObject("same", failedStatus)}
	m.changes = [][]object{{serviceObject("digits", loadedStatus), serviceObject("same", failedStatus)}}
	m.serve(t)
	out, _, err := m.run(t, "get", "isvc", "-o", "wide", "--watch")
	if err == nil || err.Error() != "the watch broke off" {
		t.Errorf("error %v, want the mesh's words", err)
	}
	if strings.Count(out, "ACTIVEMODEL") != 1 {
		t.Errorf("not one header:\n%s", out)
	}
	if strings.Count(out, "same ") != 1 {
		t.Errorf("what did not change is printed again:\n%s", out)
	}
	pending, loaded := strings.Index(out, "Pending"), strings.Index(out, "Loaded")
	if pending < 0 || loaded < pending {
		t.Errorf("watch printed:\n%s", out)
	}
}

func TestGetAsKubectlUsersType(t *testing.T) {
	m := digits()
	elsewhere := serviceObject("elsewhere", loadedStatus)
	elsewhere.namespace = "other"
	elsewhere.json = strings.ReplaceAll(elsewhere.json, `"namespace":"default"`, `"namespace":"other"`)
	m.objects["InferenceService"] = append(m.objects["InferenceService"], elsewhere)
	m.serve(t)
	for _, test := range []struct {
		args string
		want []string
	}{
		{"get isvc/digits", []string{"NAME URL", "digits "}},
		{"get isvcs -A", []string{"NAMESPACE NAME URL", "default digits ", "other elsewhere "}},
		{"get models --all-namespaces", []string{"NAMESPACE MODEL", "default digits__isvc"}},
		{"get csr", []string{"NAME DISABLED", "everywhere"}},
		{"get events", []string{"LAST SEEN TYPE REASON OBJECT MESSAGE", "", "", "loaded on mlserver-1.x-0"}},
	} {
		out, _, err := m.run(t, strings.Fields(test.args)...)
		got := rows(out)
		if err != nil || len(got) != len(test.want) {
			t.Errorf("%s, %v:\n%s", test.args, err, out)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], test.want[i]) {
				t.Errorf("%s: row %q, want %q in it", test.args, got[i], test.want[i])
			}
		}
	}
	out, _, err := m.run(t, "describe", "isvc/digits")
	if err != nil || !strings.HasPrefix(out, "Name:         digits\n") {
		t.Errorf("describe isvc/digits, %v:\n%s", err, out)
	}
	_, errs, err := m.run(t, "get", "sr")
	if err != nil || !strings.Contains(errs, "get clusterservingruntimes") {
		t.Errorf("get sr, %v: %s", err, errs)
	}
	if out, _, err = run(t.Context(), "--version"); err != nil || !strings.HasPrefix(out, "wasmesh version ") {
		t.Errorf("--version: %q, %v", out, err)
	}
}

func TestGetNothing(t *testing.T) {
	m := digits().serve(t)
	for _, test := range []struct{ args, errs string }{
		{"get predictors", "No resources found in default namespace.\n"},
		{"get isvc -n other", "No resources found in other namespace. There are some in others: -A lists them.\n"},
		{"get models -n other", "No resources found in other namespace. There are some in others: -A lists them.\n"},
		{"copies -n other", "No resources found in other namespace.\n"},
		{"get predictors -A", "No resources found.\n"},
	} {
		out, errs, err := m.run(t, strings.Fields(test.args)...)
		if err != nil || out != "" || errs != test.errs {
			t.Errorf("%s: %q, %q, %v; want only %q on standard error", test.args, out, errs, err, test.errs)
		}
	}
}

func TestErrors(t *testing.T) {
	m := digits().serve(t)
	elsewhere := filepath.Join(t.TempDir(), "nothing")
	for _, test := range []struct{ args, want string }{
		{"get isvc nobody", `InferenceService "nobody" not found in namespace default`},
		{"get isvc nobody -o json", `InferenceService "nobody" not found in namespace default`},
		{"get isvc digits -n other", `InferenceService "digits" not found in namespace other`},
		{"get models nobody -o yaml", `Model "nobody" not found in namespace default`},
		{"get hosts nobody", `Host "nobody" not found`},
		{"get clusterservingruntimes nobody", `ClusterServingRuntime "nobody" not found`},
		{"describe isvc nobody", `InferenceService "nobody" not found in namespace default`},
		{"describe models digits", "get models -o wide"},
		{"get pods", `unknown resource "pods": one of isvc`},
		{"get policies", "`wasmesh policy status` shows policies"},
		{"policy tset", "unknown command \"tset\" for \"wasmesh policy\": did you mean `wasmesh policy test`? `wasmesh policy --help` lists the commands"},
		{"policy new", "usage is `wasmesh policy new --lang go|rust|as|c NAME"},
		{"policy new a", `--lang "" is none of go, rust, as, c`},
		{"policy status -n default", "`wasmesh policy status --help` lists the flags"},
		{"get isvc -o xml", "-o xml: one of table, wide, json, yaml"},
		{"get", "say what to get: one of isvc, predictors, runtimes"},
		{"get isvc/", "isvc/NAME"},
		{"get isvc/a b", "isvc/NAME"},
		{"get runtime everywhere", `ServingRuntime "everywhere" not found in namespace default; a ClusterServingRuntime has that name`},
		{"describe", "say what to describe"},
		{"describe isvc", "say which to describe: `wasmesh describe isvc NAME`"},
		{"describe sr/everywhere", "say clusterservingruntime everywhere"},
		{"infer -f x", "say which model to ask"},
		{"infer digits", "`wasmesh infer digits -f FILE`; -f - reads it from the standard input"},
		{"status", "unknown command \"status\" for \"wasmesh\": did you mean `wasmesh get`? `wasmesh --help` lists the commands"},
		{"statsu -n x", "unknown command \"statsu\" for \"wasmesh\": `wasmesh --help` lists the commands"},
		{"infer digits -f no/such/file", "no/such/file"},
		{"up", `"filename" not set`},
	} {
		_, _, err := m.run(t, strings.Fields(test.args)...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.args, err, test.want)
		}
	}
	for _, args := range []string{"get isvc", "get hosts", "get isvc --watch", "describe isvc digits"} {
		_, _, err := run(t.Context(), append(strings.Fields(args), "--data-dir", elsewhere)...)
		if err == nil || !strings.Contains(err.Error(), "no mesh runs in "+elsewhere) || !strings.Contains(err.Error(), "wasmesh up -f") {
			t.Errorf("%s without a mesh: %v", args, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	m := digits()
	m.objects["InferenceService"] = append(m.objects["InferenceService"], serviceObject("broken", failedStatus))
	m.serve(t)
	out, _, err := m.run(t, "describe", "isvc", "digits")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Name:         digits\n",
		"      Active Model State:  Loaded\n",
		"      Total Copies:   1\n",
		"    Transition Status:     UpToDate\n",
		"Models:\n  MODEL ",
		"\n  digits__isvc-0123456789   digits   active   Loaded ",
		"Events:\n  Type ",
		"(x3)",
		"loaded on mlserver-1.x-0\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	out, _, err = m.run(t, "describe", "isvc", "broken")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Last Failure Info:\n", "Message:  no such bucket\n", "Reason:   ModelLoadFailed\n", "Events:  <none>\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	// It has no namespace, whatever -n says.
	out, _, err = m.run(t, "describe", "clusterservingruntime", "everywhere")
	if err != nil || !strings.Contains(out, "no container") {
		t.Errorf("cluster-wide runtime, %v:\n%s", err, out)
	}
}

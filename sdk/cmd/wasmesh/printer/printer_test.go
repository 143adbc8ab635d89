package printer

import (
	"strings"
	"testing"
	"time"
)

const service = `{"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService",
 "metadata":{"name":"digits","namespace":"default","creationTimestamp":"2026-01-01T00:00:00Z","generation":2,
  "annotations":{"serving.kserve.io/deploymentMode":"ModelMesh"}},
 "spec":{"predictor":{"model":{"modelFormat":{"name":"sklearn"}}}},
 "status":{"url":"grpc://modelmesh-serving.default:8033",
  "conditions":[{"type":"PredictorReady","status":"True"},{"type":"Ready","status":"True"}],
  "modelStatus":{"copies":{"failedCopies":0,"totalCopies":1},"states":{"activeModelState":"Loaded"},
   "lastFailureInfo":{"modelRevisionName":"digits__isvc-0123456789"}}}}`

func parse(t *testing.T, content string) Object {
	t.Helper()
	object, err := ParseObject(content)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestInferenceServiceColumnsAreKubectls(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 2, 5, 0, time.UTC)
	var out strings.Builder
	if err := Table(&out, Columns("InferenceService", now), []Object{parse(t, service)}, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if got, want := strings.Fields(lines[0]), "NAME URL READY PREV LATEST PREVROLLEDOUTREVISION LATESTREADYREVISION AGE"; strings.Join(got, " ") != want {
		t.Errorf("header %q, want %q", got, want)
	}
	if got, want := strings.Join(strings.Fields(lines[1]), " "), "digits grpc://modelmesh-serving.default:8033 True 2m5s"; got != want {
		t.Errorf("row %q, want %q", got, want)
	}
	if strings.Index(lines[0], "AGE") != strings.Index(lines[1], "2m5s") {
		t.Errorf("columns are not aligned:\n%s", out.String())
	}
}

func TestWideAddsColumns(t *testing.T) {
	var out strings.Builder
	if err := Table(&out, Columns("InferenceService", time.Now()), []Object{parse(t, service)}, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "ACTIVEMODEL") || !strings.Contains(out.String(), "Loaded") {
		t.Errorf("wide output lacks the model's state:\n%s", out.String())
	}
}

// A runtime's message may have lines and tabs of its own, and bytes that command a terminal; a row stays one row.
func TestACellStaysOneCell(t *testing.T) {
	columns := []Column[string]{
		{Header: "NAME", Cell: func(string) string { return "digits" }},
		{Header: "FAILURE", Cell: func(s string) string { return s }},
		{Header: "AGE", Cell: func(string) string { return "2m5s" }},
	}
	var out strings.Builder
	if err := Table(&out, columns, []string{"Traceback:\n\tfile \"m\"\r\n\x1b[2Jgone\n"}, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if len(lines) != 2 || strings.Index(lines[0], "AGE") != strings.Index(lines[1], "2m5s") || strings.ContainsAny(lines[1], "\r\x1b") {
		t.Errorf("table:\n%q", lines)
	}
	if !strings.Contains(lines[1], `Traceback: file "m" `) {
		t.Errorf("the message is lost: %q", lines[1])
	}
}

func TestEncode(t *testing.T) {
	object := parse(t, service)
	var one, list, yaml strings.Builder
	if err := Encode(&one, "json", []Object{object}, true); err != nil {
		t.Fatal(err)
	}
	if kind := parse(t, one.String()).Text("kind"); kind != "InferenceService" {
		t.Errorf("a named object prints as %q, want itself", kind)
	}
	if err := Encode(&list, "json", nil, false); err != nil {
		t.Fatal(err)
	}
	if got := parse(t, list.String()); got.Text("kind") != "List" || !strings.Contains(list.String(), `"items": []`) {
		t.Errorf("an empty list prints as %s", list.String())
	}
	if err := Encode(&yaml, "yaml", []Object{object}, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(yaml.String(), "generation: 2\n") {
		t.Errorf("YAML changed a number:\n%s", yaml.String())
	}
}

func TestDescribe(t *testing.T) {
	var out strings.Builder
	if err := Describe(&out, parse(t, service)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Name:         digits\n",
		"Annotations:  serving.kserve.io/deploymentMode: ModelMesh\n",
		"API Version:  serving.kserve.io/v1beta1\n",
		"  Model Status:\n    Copies:\n      Failed Copies:  0\n      Total Copies:   1\n",
		"  URL:                     grpc://modelmesh-serving.default:8033\n",
		"Model Revision Name:  digits__isvc-0123456789\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

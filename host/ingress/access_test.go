package ingress

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

// Each request is a line that says for which model, how it ended and how long it took, and nothing of what was in it.
func TestAccessLog(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	said := &lines{}
	m := newLoggedMesh(t, Config{AccessLog: true}, target, said)
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits", Id: "a payload"}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: strings.Repeat("x", 1000)}); err == nil {
		t.Fatal("a model that is not there answers")
	}
	response, err := http.Get(m.restURL + "/v2/models/digits")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	waitFor(t, func() bool { return len(said.all()) == 3 })
	for i, want := range [][]string{
		{"model=digits", "method=inference.GRPCInferenceService/ModelInfer", "outcome=served", "code=OK", "duration="},
		{"model=" + strings.Repeat("x", 256) + " ", "code=NOT_FOUND"},
		{"model=digits", "method=inference.GRPCInferenceService/ModelMetadata", "outcome=served", "code=OK"},
	} {
		line := said.all()[i]
		for _, part := range want {
			if !strings.Contains(line, part) {
				t.Errorf("%s lacks %s", line, part)
			}
		}
		if strings.Contains(line, "payload") {
			t.Errorf("%s says what was in the request", line)
		}
	}
}

package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// ready waits for an answer; a server that fails has not given one.
func TestReady(t *testing.T) {
	var asked atomic.Int32
	starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer starting.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	out, _, err := run(t.Context(), "ready", starting.URL, refusing.URL+"/x")
	if err != nil || out != starting.URL+" answers\n"+refusing.URL+"/x answers\n" || asked.Load() != 2 {
		t.Errorf("error %v, output %q, asked %d times", err, out, asked.Load())
	}
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer failing.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, says := range map[string]string{failing.URL: "is not ready: it answers 502 Bad Gateway", gone.URL: "is not ready: "} {
		if _, _, err := run(t.Context(), "ready", "--timeout", "50ms", url); err == nil || !strings.Contains(err.Error(), url+" "+says) {
			t.Errorf("error %v", err)
		}
	}
}

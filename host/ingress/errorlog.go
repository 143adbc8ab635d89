package ingress

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
)

// handshakeFailed begins net/http's line for a connection that did not become TLS; it has no other way of saying it.
const handshakeFailed = "http: TLS handshake error"

// errorLog is what net/http says. Connections that do not become TLS are counted, and logged for whoever looks closely: on a
// port that anybody reaches, load balancers that only look whether it is open are many.
func (s *Server) errorLog() *log.Logger { return log.New(errorWriter{s}, "", 0) }

type errorWriter struct{ server *Server }

func (w errorWriter) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte(handshakeFailed)) {
		w.server.metrics.handshakes.Inc()
		level = slog.LevelDebug
	}
	w.server.log.Log(w.server.base, level, strings.TrimSpace(string(line)))
	return len(line), nil
}

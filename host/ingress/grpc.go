package ingress

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
)

const (
	// maxStreams is how many requests one client connection may have open; more wait at the client.
	maxStreams = 1024
	// copyBytes is the buffer in which an answer passes.
	copyBytes = 16 << 10
	// pingAfter is how long a connection may be silent before it is checked, so that waiting requests of a vanished
	// client go away.
	pingAfter = 30 * time.Second
	// maxHeaderBytes bounds the metadata of a request.
	maxHeaderBytes = 64 << 10
)

// newGRPCServer makes the HTTP/2 listener's server. Each request may send streamWindow bytes ahead of its reader; the
// connection's window holds that for every request it can carry, so requests that wait never hold up others.
func (s *Server) newGRPCServer() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP2(true) // On a listener that is TLS.
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           http.HandlerFunc(s.handleGRPC),
		Protocols:         &protocols,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       s.baseContext,
		ErrorLog:          s.errorLog(),
		ConnContext:       func(ctx context.Context, _ net.Conn) context.Context { return withBorn(ctx, time.Now()) },
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: maxStreams * streamWindow,
			SendPingTimeout:               pingAfter,
		},
	}
}

type bornKey struct{}

// withBorn remembers when a connection was opened.
func withBorn(ctx context.Context, now time.Time) context.Context {
	return context.WithValue(ctx, bornKey{}, now)
}

// drainingConnectionAge is how long a connection lasts that was opened while the server drains: its client has nobody else
// yet, and will look again. Were it closed with each answer, grpc-go would fail requests, which it sends anew only once if
// they find their connection going.
const drainingConnectionAge = 5 * time.Second

// retireConnection has the connection closed gracefully (GOAWAY) with this answer if it is time.
func (s *Server) retireConnection(w http.ResponseWriter, r *http.Request) {
	born, _ := r.Context().Value(bornKey{}).(time.Time)
	if s.retired(born, time.Now()) {
		w.Header().Set("Connection", "close")
	}
}

// retired answers whether a connection that was opened then has had its time.
func (s *Server) retired(born, now time.Time) bool {
	if most := s.config.MaxConnectionAge; most > 0 && now.Sub(born) > most {
		return true
	}
	if since := s.drainingSince.Load(); since != nil {
		return born.Before(*since) || now.Sub(born) > drainingConnectionAge
	}
	return false
}

func (s *Server) handleGRPC(w http.ResponseWriter, r *http.Request) {
	s.retireConnection(w, r)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "this port speaks gRPC; REST is on another", http.StatusMethodNotAllowed)
		return
	}
	if !isGRPC(r.Header.Get("Content-Type")) {
		http.Error(w, "this port speaks gRPC: the content type must be application/grpc", http.StatusUnsupportedMediaType)
		return
	}
	method := strings.TrimPrefix(r.URL.Path, "/")
	if isLocal(method) {
		s.local.ServeHTTP(w, r)
		return
	}
	defer s.begin()()
	rec := record{start: time.Now()}
	end := s.forwardGRPC(w, r, method, &rec)
	s.done(&rec, method, end)
}

// isGRPC reports whether a content type is application/grpc or one of its message formats.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// forwardGRPC serves one request to a model and returns its end.
func (s *Server) forwardGRPC(w http.ResponseWriter, r *http.Request, method string, rec *record) answer {
	body := forward.NewBody(&countedBody{r.Body, &rec.requestBytes})
	defer body.Close()
	ctx, cancel, err := withTimeout(r)
	if err != nil {
		return refuse(w, err)
	}
	defer cancel()
	call, err := s.openGRPC(ctx, r, method, body, rec)
	if err != nil {
		return refuse(w, err)
	}
	defer call.close()
	if end, ok := s.copyAnswer(w, call.Stream, s.methods[method].unary, rec); !ok {
		end.setStatus(w.Header(), http.TrailerPrefix)
		return end
	}
	return endOf(call.Stream)
}

// refuse ends a request that was not answered by a model server.
func refuse(w http.ResponseWriter, err error) answer {
	end := answerOf(err)
	end.writeGRPC(w)
	return end
}

// openGRPC finds the model and forwards.
func (s *Server) openGRPC(ctx context.Context, r *http.Request, method string, body *forward.Body, rec *record) (*call, error) {
	if isManagement(method) {
		return nil, &forward.RequestError{Outcome: route.InvalidRequest, Code: codes.Unimplemented,
			Message: method + " manages a model server; models are managed as InferenceServices, and clients cannot call it"}
	}
	name, inMessage, err := s.findNameInTime(ctx, method, r.Header, body)
	if err != nil {
		return nil, err
	}
	rec.model = name
	return s.invoke(ctx, &request{
		method: method, name: name, inMessage: inMessage, header: r.Header, body: body, window: streamWindow, record: rec,
	})
}

// findNameInTime is findName within the request's deadline: without one, only the client's going away ends the wait for
// its bytes.
func (s *Server) findNameInTime(ctx context.Context, method string, header http.Header, body *forward.Body) (string, bool, error) {
	if _, bounded := ctx.Deadline(); bounded {
		stop := context.AfterFunc(ctx, body.Break)
		defer stop()
	}
	name, inMessage, err := s.findName(method, header, body)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = route.Errorf(route.DeadlineExceeded, "the deadline passed before the request had arrived")
	}
	return name, inMessage, err
}

// withTimeout gives the request's context the deadline of its grpc-timeout header, if it has one.
func withTimeout(r *http.Request) (context.Context, context.CancelFunc, error) {
	value := r.Header.Get("Grpc-Timeout")
	if value == "" {
		return r.Context(), func() {}, nil
	}
	timeout, err := forward.ParseTimeout(value)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// copyAnswer passes the server's answer on as it comes; that of a unary method may as well go out in one piece. If it
// breaks off, ok is false and the end is the caller's to tell.
func (s *Server) copyAnswer(w http.ResponseWriter, stream *forward.Stream, unary bool, rec *record) (end answer, ok bool) {
	header := w.Header()
	for key, values := range stream.Header() {
		header[key] = values
	}
	bare(header)
	w.WriteHeader(http.StatusOK)
	if stream.TrailersOnly() {
		return answer{}, true
	}
	buffer := s.copies.Get().(*[]byte)
	defer s.copies.Put(buffer)
	flush := func() {}
	if flusher, can := w.(http.Flusher); can && !unary {
		flush = flusher.Flush
	}
	flush()
	for {
		n, err := stream.Read(*buffer)
		if err == io.EOF {
			break
		}
		if err != nil {
			return answerOf(err), false
		}
		rec.sentBytes += int64(n)
		if _, err := w.Write((*buffer)[:n]); err != nil {
			return answerOf(context.Canceled), false
		}
		flush()
	}
	for key, values := range stream.Trailer() {
		header[http.TrailerPrefix+key] = values
	}
	return answer{}, true
}

// countedBody counts the bytes that arrive.
type countedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

package ingress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/rest"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// newRESTServer makes the server of the V2 REST API: github.com/kserve/open-inference-protocol,
// specification/protocol/inference_rest.md.
func (s *Server) newRESTServer() *http.Server {
	mux := http.NewServeMux()
	for _, model := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		mux.Handle(model+"/infer", only(http.MethodPost, s.model(inferMethod, (*restCall).infer)))
		mux.Handle(model, only(http.MethodGet, s.model(metadataMethod, (*restCall).metadata)))
		mux.Handle(model+"/ready", only(http.MethodGet, http.HandlerFunc(s.restModelReady)))
	}
	mux.Handle("/v2/health/live", only(http.MethodGet, http.HandlerFunc(s.restLive)))
	mux.Handle("/v2/health/ready", only(http.MethodGet, http.HandlerFunc(s.restReady)))
	mux.Handle("/v2", only(http.MethodGet, http.HandlerFunc(s.restServerMetadata)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, rest.EncodeError("no such path: "+r.URL.Path+"; the V2 API is below /v2"))
	})
	return &http.Server{
		Handler:           s.retiring(mux),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       s.baseContext,
		ErrorLog:          s.errorLog(),
		ConnContext:       func(ctx context.Context, _ net.Conn) context.Context { return withBorn(ctx, time.Now()) },
	}
}

// retiring lets connections end as the gRPC listener's do.
func (s *Server) retiring(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.retireConnection(w, r)
		next.ServeHTTP(w, r)
	})
}

// only refuses other methods, with the protocol's error body.
func only(method string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			writeJSON(w, http.StatusMethodNotAllowed, rest.EncodeError(r.Method+" is not allowed here: use "+method))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// model serves a request to a model and counts its one outcome, under the gRPC method that it becomes.
func (s *Server) model(method string, serve func(*restCall, context.Context) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.begin()()
		rec := record{start: time.Now(), model: r.PathValue("model")}
		ctx, cancel := context.WithTimeout(r.Context(), s.config.RESTTimeout)
		defer cancel()
		call := &restCall{server: s, w: w, r: r, record: &rec, name: r.PathValue("model")}
		body, err := serve(call, ctx)
		end, status := restAnswer(err)
		if err != nil {
			end.writeREST(w, status)
		} else {
			writeJSON(w, status, body)
		}
		s.done(&rec, method, end)
	})
}

// restAnswer is the end of a REST request and its HTTP status.
func restAnswer(err error) (answer, int) {
	if err == nil {
		return served(codes.OK), http.StatusOK
	}
	if e, ok := errors.AsType[*runtimeError](err); ok {
		end := served(e.status.Code)
		end.message = e.status.Message
		return end, httpStatus(e.status.Code)
	}
	end := answerOf(err)
	if _, ok := errors.AsType[*forward.RequestError](err); ok && end.outcome == route.InvalidRequest {
		return end, httpStatus(end.code)
	}
	return end, end.outcome.HTTPStatus()
}

// httpStatus maps a model server's status as grpc-gateway does, which stood here in ModelMesh.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.Canceled:
		return 499
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// restModelReady answers 200 when a request would be served, else 503 and why; 404 for an unknown model.
func (s *Server) restModelReady(w http.ResponseWriter, r *http.Request) {
	model, err := s.modelStatus(r.PathValue("model"))
	switch {
	case err != nil:
		end := answerOf(err)
		end.writeREST(w, end.outcome.HTTPStatus())
	case !model.Ready:
		writeJSON(w, http.StatusServiceUnavailable, rest.EncodeError("the model is not ready: "+model.Reason))
	default:
		writeJSON(w, http.StatusOK, []byte(`{"ready":true}`))
	}
}

func (s *Server) restLive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, []byte(`{"live":true}`))
}

func (s *Server) restReady(w http.ResponseWriter, _ *http.Request) {
	if !s.Ready() {
		writeJSON(w, http.StatusServiceUnavailable, rest.EncodeError("this host is not ready: it has not received its catalog, or is stopping"))
		return
	}
	writeJSON(w, http.StatusOK, []byte(`{"ready":true}`))
}

func (s *Server) restServerMetadata(w http.ResponseWriter, _ *http.Request) {
	body, err := rest.EncodeServerMetadata(&inference.ServerMetadataResponse{Name: serverName, Version: s.config.Version})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, rest.EncodeError(err.Error()))
		return
	}
	writeJSON(w, http.StatusOK, body)
}

package ingress

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
)

// answer is how a request ended, as its caller and the metrics see it.
type answer struct {
	outcome    route.Outcome
	code       codes.Code
	message    string
	retryAfter time.Duration
}

// answerOf turns whatever stopped a request into its one outcome.
func answerOf(err error) answer {
	if e, ok := errors.AsType[*route.Error](err); ok {
		return answer{e.Outcome, e.Outcome.Code(), e.Message, e.RetryAfter}
	}
	if e, ok := errors.AsType[*forward.RequestError](err); ok {
		return answer{e.Outcome, e.Code, e.Message, 0}
	}
	outcome := route.Internal
	message := err.Error()
	if _, ok := errors.AsType[*forward.Unsent](err); ok {
		outcome = route.NoHost
	} else if _, ok := errors.AsType[*forward.Interrupted](err); ok {
		outcome = route.Interrupted
	} else if errors.Is(err, context.DeadlineExceeded) {
		outcome, message = route.DeadlineExceeded, "the deadline passed before the model server had answered"
	} else if errors.Is(err, context.Canceled) {
		outcome, message = route.Cancelled, clientGone.Message
	}
	return answer{outcome, outcome.Code(), message, 0}
}

// writeGRPC sends the answer as a trailers-only response: the form that lets a client's retry policy act on it.
func (a answer) writeGRPC(w http.ResponseWriter) {
	header := w.Header()
	a.setStatus(header, "")
	header.Set("Content-Type", "application/grpc")
	if a.code == codes.Unimplemented {
		header.Set("Grpc-Accept-Encoding", forward.AcceptedEncodings)
	}
	bare(header)
	w.WriteHeader(http.StatusOK)
}

// setStatus writes the status into header, with prefix before each key.
func (a answer) setStatus(header http.Header, prefix string) {
	header.Set(prefix+"Grpc-Status", strconv.Itoa(int(a.code)))
	if a.message != "" {
		header.Set(prefix+"Grpc-Message", forward.EncodeMessage(a.message))
	}
	if a.retryAfter > 0 {
		header.Set(prefix+"Grpc-Retry-Pushback-Ms", strconv.FormatInt(a.retryAfter.Milliseconds(), 10))
	}
}

// bare keeps net/http from adding headers that gRPC clients would take for metadata.
func bare(header http.Header) {
	header["Content-Length"] = nil
	header["Date"] = nil
}

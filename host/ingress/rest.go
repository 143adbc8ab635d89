package ingress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/rest"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

const (
	// bodyTimeout bounds how long a client may take over its request: it holds a share of decodeLimit meanwhile.
	bodyTimeout = 30 * time.Second
	// bodiesAtOnce is how many of the largest bodies may be in memory, being read and translated; smaller ones are
	// counted by their size.
	bodiesAtOnce = 2
)

// decodeLimit bounds the memory of REST bodies. Unlike a gRPC message a JSON body has to be whole before it can be
// forwarded, so it is counted from before its first byte is read until the request has ended, and others wait. While a
// request waits for its model the waiting budget counts it instead, so that a slow load does not hold up other models.
type decodeLimit struct {
	bytes *semaphore.Weighted
	most  int64
}

func newDecodeLimit(maxBody int64) *decodeLimit {
	return &decodeLimit{bytes: semaphore.NewWeighted(bodiesAtOnce * maxBody), most: maxBody}
}

// share is for a body of that length; below 0 it is unknown and taken as the largest until it has been read.
func (d *decodeLimit) share(length int64) *decodeShare {
	if length < 0 {
		length = d.most
	}
	return &decodeShare{limit: d, length: length}
}

// decodeShare is one request's part of a decodeLimit; nil is one that needs none.
type decodeShare struct {
	limit  *decodeLimit
	length int64
	held   bool
}

// take waits for room.
func (s *decodeShare) take(ctx context.Context) error {
	if s == nil || s.held {
		return nil
	}
	if err := s.limit.bytes.Acquire(ctx, s.length); err != nil {
		return err
	}
	s.held = true
	return nil
}

// shrink gives back what a body that turned out to have length bytes does not need.
func (s *decodeShare) shrink(length int64) {
	if length < s.length {
		s.limit.bytes.Release(s.length - length)
		s.length = length
	}
}

func (s *decodeShare) give() {
	if s != nil && s.held {
		s.limit.bytes.Release(s.length)
		s.held = false
	}
}

// restCall is one REST request to a model.
type restCall struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	record *record
	name   string
	// share counts the body, from its first byte to the end of the request.
	share *decodeShare
}

// infer serves POST /v2/models/{model}/infer.
func (c *restCall) infer(ctx context.Context) ([]byte, error) {
	defer func() { c.share.give() }()
	message, err := c.readInfer(ctx)
	if err != nil {
		return nil, err
	}
	var response inference.ModelInferResponse
	if err := c.unary(ctx, inferMethod, message, &response); err != nil {
		return nil, err
	}
	body, err := rest.EncodeInferResponse(&response)
	if err != nil {
		return nil, route.Errorf(route.Internal, "the answer of model %s makes no sense: %v", response.GetModelName(), err)
	}
	return body, nil
}

// readInfer reads the body and translates it to a gRPC message, length prefix included.
func (c *restCall) readInfer(ctx context.Context) ([]byte, error) {
	limit := c.server.config.MaxMessageBytes
	switch {
	case c.r.ContentLength > limit:
		return nil, forward.TooLarge(c.r.ContentLength, limit)
	case c.r.Header.Get("Inference-Header-Content-Length") != "":
		return nil, route.Errorf(route.InvalidRequest, "binary tensor data is not supported over REST: send JSON, or use gRPC")
	case c.r.Header.Get("Content-Encoding") != "":
		return nil, route.Errorf(route.InvalidRequest, "content encoding %q is not supported: send the body as it is", c.r.Header.Get("Content-Encoding"))
	}
	c.share = c.server.decoding.share(c.r.ContentLength)
	if err := c.share.take(ctx); err != nil {
		return nil, err
	}
	// The time that the request stood in line is not the client's.
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return nil, route.Errorf(route.Internal, "bound the time to read the body: %v", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	if err != nil {
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return nil, route.Errorf(route.TooLarge, "the body is over this server's limit of %d bytes (--max-message-bytes)", limit)
		}
		return nil, clientGone
	}
	c.share.shrink(int64(len(body)))
	c.record.requestBytes.Add(int64(len(body)))
	request, err := rest.DecodeInferRequest(c.name, c.r.PathValue("version"), body)
	if err != nil {
		return nil, route.Errorf(route.InvalidRequest, "%v", err)
	}
	return frame(request)
}

// metadata serves GET /v2/models/{model}.
func (c *restCall) metadata(ctx context.Context) ([]byte, error) {
	message, err := frame(&inference.ModelMetadataRequest{Name: c.name, Version: c.r.PathValue("version")})
	if err != nil {
		return nil, err
	}
	var response inference.ModelMetadataResponse
	if err := c.unary(ctx, metadataMethod, message, &response); err != nil {
		return nil, err
	}
	return rest.EncodeModelMetadata(&response)
}

// unary sends one framed message through the pipeline that gRPC requests take and decodes the one that comes back.
func (c *restCall) unary(ctx context.Context, method string, message []byte, response proto.Message) error {
	body := forward.BytesBody(message)
	defer body.Close()
	call, err := c.server.invoke(ctx, &request{
		method: method, name: c.name, inMessage: true, header: metadataOf(c.r.Header), body: body, record: c.record,
		share: c.share,
	})
	if err != nil {
		return err
	}
	defer call.close()
	limit := c.server.config.MaxMessageBytes
	answered, err := io.ReadAll(io.LimitReader(call, limit+forward.PrefixBytes+1))
	if err != nil {
		return err
	}
	c.record.sentBytes += int64(len(answered))
	if int64(len(answered)) > limit+forward.PrefixBytes {
		return route.Errorf(route.TooLarge, "the answer is over this server's limit of %d bytes (--max-message-bytes)", limit)
	}
	if status := call.Status(); status.Code != codes.OK {
		if end := endOf(call.Stream); end.outcome != route.Served {
			return &route.Error{Outcome: end.outcome, Message: status.Message}
		}
		return &runtimeError{status}
	}
	return unframe(answered, response)
}

// runtimeError is an answer of the model server that is a status of its own.
type runtimeError struct{ status forward.Status }

func (e *runtimeError) Error() string { return e.status.Message }

// frame encodes one gRPC message with its prefix.
func frame(message proto.Message) ([]byte, error) {
	framed := make([]byte, forward.PrefixBytes, forward.PrefixBytes+proto.Size(message))
	framed, err := proto.MarshalOptions{}.MarshalAppend(framed, message)
	if err != nil {
		// Only a string that is no UTF-8 cannot be encoded.
		return nil, route.Errorf(route.InvalidRequest, "the request holds text that is not UTF-8: %v", err)
	}
	binary.BigEndian.PutUint32(framed[1:], uint32(len(framed)-forward.PrefixBytes))
	return framed, nil
}

func unframe(framed []byte, message proto.Message) error {
	if len(framed) < forward.PrefixBytes || framed[0] != 0 ||
		int(binary.BigEndian.Uint32(framed[1:])) != len(framed)-forward.PrefixBytes {
		return route.Errorf(route.Internal, "the model server did not answer exactly one plain message")
	}
	if err := proto.Unmarshal(framed[forward.PrefixBytes:], message); err != nil {
		return route.Errorf(route.Internal, "decode the model server's answer: %v", err)
	}
	return nil
}

// metadataOf picks the HTTP headers that the model server gets, as ModelMesh's REST proxy does: those with the prefix
// Grpc-Metadata-, and those of tracing.
func metadataOf(header http.Header) http.Header {
	const prefix = "Grpc-Metadata-"
	metadata := http.Header{}
	for key, values := range header {
		if name, ok := strings.CutPrefix(key, prefix); ok && name != "" {
			metadata[http.CanonicalHeaderKey(name)] = values
		}
		switch key {
		case "Traceparent", "Tracestate", "X-Request-Id":
			metadata[key] = values
		}
	}
	return metadata
}

// writeREST ends a request with an error body.
func (a answer) writeREST(w http.ResponseWriter, status int) {
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int64((a.retryAfter+time.Second-1)/time.Second)))
	}
	writeJSON(w, status, rest.EncodeError(a.message))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away is not told.
	_, _ = w.Write(body)
}

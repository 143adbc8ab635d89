package ingress

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/forward/splice"
	"github.com/wasmesh/wasmesh/host/route"
)

// findName learns which model a gRPC request means: for methods that carry a name in their messages from the first
// one, else, or if it has none, from the headers. inMessage tells which.
func (s *Server) findName(method string, header http.Header, body *forward.Body) (name string, inMessage bool, err error) {
	known, ok := s.methods[method]
	if ok {
		name, err = s.nameInMessage(known, header.Get("Grpc-Encoding"), body)
		if err != nil || name != "" {
			return name, true, err
		}
	}
	name, err = nameInHeaders(header)
	if err != nil || name != "" {
		return name, false, err
	}
	if ok {
		return "", false, route.Errorf(route.InvalidRequest,
			"the request names no model: set the name in its message (within the first %d bytes), or the mm-vmodel-id header", forward.HeadBytes)
	}
	return "", false, route.Errorf(route.InvalidRequest,
		"method %s needs the model's name in the mm-vmodel-id or mm-model-id header", method)
}

// nameInHeaders reads the model's name from the headers. As with ModelMesh, mm-model-id and mm-vmodel-id exclude each
// other, and the -bin forms hold UTF-8. Several values, ModelMesh's fan-out to many models, are refused.
func nameInHeaders(header http.Header) (string, error) {
	found := ""
	for _, key := range []string{"Mm-Model-Id", "Mm-Vmodel-Id", "Mm-Model-Id-Bin", "Mm-Vmodel-Id-Bin"} {
		values, ok := header[key]
		if !ok {
			continue
		}
		if found != "" || len(values) != 1 {
			return "", route.Errorf(route.InvalidRequest, "a request is for one model: send one of the headers mm-model-id and mm-vmodel-id, once")
		}
		found = values[0]
		if strings.HasSuffix(key, "-Bin") {
			raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(found, "="))
			if err != nil || !utf8.Valid(raw) {
				return "", route.Errorf(route.InvalidRequest, "header %s is not base64 of UTF-8", strings.ToLower(key))
			}
			found = string(raw)
		}
		if found == "" {
			return "", route.Errorf(route.InvalidRequest, "header %s is empty", strings.ToLower(key))
		}
	}
	return found, nil
}

// nameInMessage waits for enough of the first message to find the name in it. A unary request that fits is read to its
// end, so that nothing of it is left with the client. Without a name the answer is empty.
func (s *Server) nameInMessage(known method, encoding string, body *forward.Body) (string, error) {
	head, err := body.Peek(forward.PrefixBytes)
	if err != nil {
		return "", clientGone
	}
	if len(head) < forward.PrefixBytes {
		// No message; if there are a few stray bytes, forwarding finds out.
		return "", nil
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size > s.config.MaxMessageBytes {
		return "", forward.TooLarge(size, s.config.MaxMessageBytes)
	}
	whole := forward.PrefixBytes + size
	want := whole
	switch {
	case whole > forward.HeadBytes:
		want = peekStep
	case known.unary:
		want++
	}
	for {
		if head, err = body.Peek(int(want)); err != nil {
			return "", clientGone
		}
		if int64(len(head)) < min(want, whole) {
			return "", route.Errorf(route.InvalidRequest, "the request ended %d bytes before the end of its message", whole-int64(len(head)))
		}
		name, err := walkName(known.namePath, encoding, head, size)
		if name != "" || err != nil || int64(len(head)) >= min(whole, forward.HeadBytes) {
			return name, err
		}
		want = min(4*want, forward.HeadBytes)
	}
}

// peekStep is how much of a large message is looked at first. Encoders write fields in the order of their numbers, so
// the name stands at the start.
const peekStep = 4 << 10

// clientGone ends a request whose client broke off.
var clientGone = route.Errorf(route.Cancelled, "the client broke the request off")

// walkName looks for the name in the kept bytes of a request, whose first message has size bytes.
func walkName(path []uint32, encoding string, head []byte, size int64) (string, error) {
	message := head[forward.PrefixBytes:]
	message = message[:min(int64(len(message)), size)]
	if head[0] == 1 {
		if encoding != "gzip" {
			return "", &forward.RequestError{Outcome: route.InvalidRequest, Code: codes.Unimplemented,
				Message: "a message compressed with \"" + encoding + "\" hides the model's name; this server takes: " + forward.AcceptedEncodings}
		}
		plain, err := gunzipHead(message)
		if err != nil {
			return "", err
		}
		message, size = plain, math.MaxUint32
	}
	var walker splice.Walker
	walker.Reset(path, size, "")
	err := walker.Write(message)
	if err == nil && int64(len(message)) == size {
		err = walker.Close()
	}
	if err != nil {
		return "", route.Errorf(route.InvalidRequest, "%v", err)
	}
	name, _ := walker.Name()
	return name, nil
}

// gunzipHead decompresses the start of a message, at most HeadBytes of it.
func gunzipHead(packed []byte) (plain []byte, err error) {
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		plain = make([]byte, 0, forward.HeadBytes)
		var n int
		n, err = io.ReadFull(unzip, plain[:cap(plain)])
		plain = plain[:n]
	}
	// A stream that is cut short shows when the whole message is decompressed.
	if err == nil || err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return plain, nil
	}
	return nil, route.Errorf(route.InvalidRequest, "decompress message: %v", err)
}

package forward

import (
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc/codes"
)

// Status is how the server ended a call.
type Status struct {
	Code codes.Code
	// Message is decoded from its percent encoding.
	Message string
}

// statusOf reads the status from trailers, or from the headers of a trailers-only answer.
func statusOf(header http.Header) (Status, bool) {
	values := header["Grpc-Status"]
	if len(values) == 0 {
		return Status{}, false
	}
	number, err := strconv.ParseUint(values[0], 10, 32)
	if err != nil {
		number = uint64(codes.Unknown)
	}
	return Status{Code: codes.Code(number), Message: decodeMessage(header.Get("Grpc-Message"))}, true
}

// decodeMessage undoes the percent encoding of a grpc-message; what is not encoded properly stays as it is.
func decodeMessage(message string) string {
	if plain, err := url.PathUnescape(message); err == nil {
		return plain
	}
	return message
}

// EncodeMessage percent-encodes a status message for a grpc-message header, as gRPC over HTTP/2 prescribes: space to
// tilde pass, except the percent sign.
func EncodeMessage(message string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(message))
	for i := range len(message) {
		c := message[i]
		if c >= ' ' && c <= '~' && c != '%' {
			out = append(out, c)
			continue
		}
		out = append(out, '%', hex[c>>4], hex[c&15])
	}
	return string(out)
}

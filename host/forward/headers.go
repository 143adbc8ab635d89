package forward

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
)

// modelIDHeader tells the server which model is meant; servers without a name field in their messages read nothing
// else.
const modelIDHeader = "mm-model-id"

// outgoing is the header of the request to the server: the client's metadata without what was meant for the mesh
// (mm-*, wasmesh-*) or for one hop of the way, the concrete model id, what is left until the deadline, if there is one,
// and what the target wants.
func outgoing(target Target, head Head, left time.Duration) http.Header {
	out := make(http.Header, len(head.Metadata)+len(target.Header)+8)
	for key, values := range head.Metadata {
		if !perHop(key) {
			out[key] = values
		}
	}
	out.Set("Te", "trailers")
	out.Set("User-Agent", "wasmesh")
	if out.Get("Content-Type") == "" {
		out.Set("Content-Type", "application/grpc")
	}
	if left != 0 {
		out.Set("Grpc-Timeout", formatTimeout(left))
	}
	switch {
	case target.Peer:
		toPeer(out, head)
	case printable(head.ModelID):
		out.Set(modelIDHeader, head.ModelID)
	default:
		out.Set(modelIDHeader+"-bin", base64.RawStdEncoding.EncodeToString([]byte(head.ModelID)))
	}
	for key, values := range target.Header {
		out[key] = values
	}
	return out
}

// toPeer says what another host needs to know.
func toPeer(out http.Header, head Head) {
	out[route.HeaderModelID] = []string{EncodeMessage(head.ModelID)}
	if head.Name != "" {
		out[route.HeaderName] = []string{EncodeMessage(head.Name)}
	}
	if head.Wait {
		out[route.HeaderWait] = []string{"1"}
	}
}

// perHop reports whether a request header ends here. key is in canonical form.
func perHop(key string) bool {
	switch key {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Te", "Trailer",
		"Host", "Content-Length", "Expect", "User-Agent", "Grpc-Timeout":
		return true
	}
	return strings.HasPrefix(key, "Mm-") || strings.HasPrefix(key, route.HeaderPrefix)
}

// printable reports whether value can be sent as an ASCII metadata value.
func printable(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// incoming strips what is not metadata from the server's headers, in place.
func incoming(header http.Header) http.Header {
	for _, key := range []string{"Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer", "Content-Length", "Date"} {
		delete(header, key)
	}
	route.Strip(header)
	return header
}

package route

import (
	"net/http"
	"strings"
)

// Headers of requests that one host passes to another, on the peer listener only: no client's header of this prefix gets
// past a host, and none gets to a model server. Values are percent-encoded like a grpc-message where they are not plain
// ASCII. Keys are in net/http's canonical form.
const (
	// HeaderPrefix begins all of them.
	HeaderPrefix = "Wasmesh-"
	// HeaderModelID is the concrete id of the model: the peer does not resolve names.
	HeaderModelID = "Wasmesh-Model-Id"
	// HeaderName is the name by which the client asked, if it stood in the message: later messages of the call have to
	// name the same.
	HeaderName = "Wasmesh-Name"
	// HeaderWait, when "1", has the peer keep the request until the model is loaded there.
	HeaderWait = "Wasmesh-Wait"
	// HeaderToken proves that the sender belongs to the mesh.
	HeaderToken = "Wasmesh-Mesh-Token"

	// HeaderNotHere, on an answer without messages, says that the peer did not pass the request to a model server: a
	// NotHere.
	HeaderNotHere = "Wasmesh-Not-Here"
	// HeaderOutcome, on an answer of the peer's own or in its trailers, is how the request ended: the label of an
	// Outcome. An answer without it is the model server's.
	HeaderOutcome = "Wasmesh-Outcome"
)

// Strip removes every header that only hosts may say, in place.
func Strip(header http.Header) {
	for key := range header {
		if IsInternal(key) {
			delete(header, key)
		}
	}
}

// IsInternal reports whether only hosts may say the header, in whatever case it is written.
func IsInternal(key string) bool {
	return len(key) >= len(HeaderPrefix) && strings.EqualFold(key[:len(HeaderPrefix)], HeaderPrefix)
}

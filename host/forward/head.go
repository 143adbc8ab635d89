package forward

import "net/http"

// Target is where a request goes and how that server wants the model id.
type Target struct {
	// Address is "host:port" or "unix:/path".
	Address string
	// IDPaths says where the request messages of a method, "package.Service/Method", carry the model id, as a path of
	// field numbers. An empty path stands for a method that takes the id from the mm-model-id header alone.
	IDPaths map[string][]uint32
	// AllowAnyMethod lets methods pass that are not in IDPaths, with the id in the header.
	AllowAnyMethod bool
	// Peer: another host, and not a model server. Messages pass to it as they are: it writes the model id.
	Peer bool
	// Host is the id of the peer, which its certificate has to have.
	Host string
	// Header is set on every request, after the client's headers. It is not changed.
	Header http.Header
}

// Head is what is known of a request before it is forwarded.
type Head struct {
	// Method is "package.Service/Method".
	Method string
	// Metadata are the request's headers as the client sent them, keys in net/http's canonical form.
	Metadata http.Header
	// ModelID is the concrete id that the server knows the model by.
	ModelID string
	// Name is the name by which the client asked if it stood in the message itself, else empty. A later message that
	// names another model ends the call.
	Name string
	// Wait has a peer keep the request until it has loaded the model.
	Wait bool
	// Body is the request from its first byte on.
	Body *Body
}

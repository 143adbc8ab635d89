// Package forward sends a request to an inference server, or to the host that has one, and brings its answer back, byte for byte.
//
// It speaks gRPC's wire format over HTTP/2 and treats every call as two streams of opaque bytes: unary is not special.
// Of a request it reads the five-byte prefixes of the messages, to enforce the size limit and to write the concrete
// model id behind each message (see package splice); it never decodes, re-encodes or holds a whole message, with one
// exception: a compressed message that needs the id is decompressed, within a memory budget.
//
// Back-pressure is HTTP/2's own, end to end. The transport is Go's net/http and not grpc-go, because grpc-go hands a
// proxy no byte of a message before all of it is in memory: three hundred callers with 8 MiB each would be 2.4 GiB.
//
// Another host takes requests like a model server, with two differences: the messages pass as they are, since it is that
// host which writes the model id, and where the request waits there, or is longer than what is kept of it, the body stays
// behind until the host asks for it, so that the whole can still go elsewhere (hold.go).
//
// Between hosts it may all be TLS (Config.PeerTLS); a host that does not take this one's certificate has seen nothing of the
// request.
//
// Failures are typed by what a caller may do next: Unsent (the application cannot have seen any of it), Interrupted
// (it may have), RequestError (the request itself is at fault).
//
// Package ingress is the only caller.
package forward

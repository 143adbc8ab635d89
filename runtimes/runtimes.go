// Package runtimes is the contract between a host and the native inference server beside it: one Adapter per kind of
// server, each in a folder below this one and driven through that server's own API.
//
// An adapter owns the layout of model files that its server wants and nothing else: what is loaded, what is in flight
// and how much memory is left belong to the host. It keeps no table of loaded models, so a server that was restarted
// behind its back cannot make it lie; it asks the server.
//
// Every adapter passes runtimetest.Run.
package runtimes

import (
	"context"
	"time"
)

// Adapter drives one inference server. All methods are safe for concurrent use; the host never has two calls for
// one model id under way, except that a Load may be cancelled and at once followed by Unload of the same id.
type Adapter interface {
	// Status answers when the server can load models, else an error of kind Unavailable. It changes nothing.
	Status(ctx context.Context) (Status, error)

	// Reset unloads every model that the server still holds and removes what the adapter laid out for them, so that the
	// host starts from nothing. Called before the first Load and after each loss of the server.
	Reset(ctx context.Context) error

	// Load makes the model ready to serve under Model.ID and answers its size. Errors are of kind ModelRejected
	// (message in the server's own words), Unavailable, or the context's. After an error the model is not loaded.
	Load(ctx context.Context, model Model) (Loaded, error)

	// Unload frees the model's memory; an unknown id is success.
	Unload(ctx context.Context, modelID string) error

	// Holds asks the server whether it would serve this id now. Used to tell a server that lost its models from a
	// request that was merely wrong.
	Holds(ctx context.Context, modelID string) (bool, error)

	// WaitLost blocks while the connection to the server holds and answers nil once it is lost, or ctx.Err().
	WaitLost(ctx context.Context) error

	// Close releases connections. The server itself is not the adapter's to stop.
	Close() error
}

// Model is an artifact on local disk, ready to be loaded.
type Model struct {
	// ID is the name that the server serves it under: "<name>__isvc-<hash>".
	ID string
	// Format as the user declared it: "sklearn", "1".
	FormatName, FormatVersion string
	// Path is absolute: a file, or a directory.
	Path string
	// SchemaPath is the absolute path of the user's JSON schema of inputs and outputs, or empty.
	SchemaPath string
	// DiskBytes is what Path holds, links followed.
	DiskBytes int64
}

// Loaded says what a load cost.
type Loaded struct {
	// SizeBytes is the memory that the server says the model takes; 0 when it cannot tell, and the host estimates.
	SizeBytes int64
	// MaxConcurrency is how many requests this copy serves at once; 0 is no limit.
	MaxConcurrency int
}

// Status is what a ready server says of itself. Zero values mean that it does not say, and the host's own settings hold.
type Status struct {
	Version               string
	CapacityBytes         int64
	MaxLoadingConcurrency int
	LoadTimeout           time.Duration
	DefaultModelBytes     int64
	// Methods says where each gRPC method carries the model id; keyed "package.Service/Method". A method that is not
	// listed is forwarded with the id in the mm-model-id header only, if AllowAnyMethod is set, else refused.
	Methods        map[string]Method
	AllowAnyMethod bool
}

// Method describes one gRPC method of the server.
type Method struct {
	// IDPath is the path of field numbers from the request message to the string that takes the model id.
	IDPath []uint32
}

// Config is what every adapter is built from.
type Config struct {
	// ManagementAddress is the server's management endpoint, "host:port" or "unix:/path".
	ManagementAddress string
	// ModelsDir is the directory shared by host and server; adapters write only under a folder of their own in it.
	ModelsDir string
}

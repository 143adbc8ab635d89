package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/launcher"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// client asks the mesh of one data directory.
type client struct {
	adminv1.AdminServiceClient
	conn    *grpc.ClientConn
	dataDir string
	paths   launcher.Paths
}

// dial never blocks; the first call says when nobody is there.
func dial(dataDir string) (*client, error) {
	paths, err := launcher.PathsOf(dataDir)
	if err != nil {
		return nil, err
	}
	conn, err := paths.DialAdmin()
	if err != nil {
		return nil, err
	}
	return &client{AdminServiceClient: adminv1.NewAdminServiceClient(conn), conn: conn, dataDir: dataDir, paths: paths}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// explain turns "nobody answers on the socket" into what to do about it, and drops gRPC's frame around what the mesh
// says.
func (c *client) explain(err error) error {
	s, ok := status.FromError(err)
	switch {
	case err == nil || !ok:
		return err
	case s.Code() == codes.Unavailable && c.paths.Running():
		return fmt.Errorf("the controller of the mesh in %s is being restarted: try again; %s says why",
			c.dataDir, filepath.Join(c.dataDir, "logs", "wasmesh-controller.log"))
	case s.Code() == codes.Unavailable:
		return fmt.Errorf("no mesh runs in %s: start one with `wasmesh up -f PATH`, or name its directory with --data-dir", c.dataDir)
	}
	return errors.New(s.Message())
}

// How long a command waits for a controller that is being started again, and how often it looks. A restart takes less
// than a second.
const (
	restartPatience = 4 * time.Second
	restartPoll     = 100 * time.Millisecond
)

// errNoHost: the controller knows of no host that a request could go to.
var errNoHost = errors.New("no host is connected")

// patiently repeats ask for some time while the mesh's launcher runs and its controller does not answer, or has not
// heard from hosts.
func (c *client) patiently(ctx context.Context, ask func() error) error {
	for deadline := time.Now().Add(restartPatience); ; {
		err := ask()
		again := status.Code(err) == codes.Unavailable || errors.Is(err, errNoHost)
		if !again || time.Now().After(deadline) || !c.paths.Running() {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(restartPoll):
		}
	}
}

// Kinds that commands ask for: those of objects, and three that only the mesh has.
const (
	kindService        = "InferenceService"
	kindPredictor      = "Predictor"
	kindRuntime        = "ServingRuntime"
	kindClusterRuntime = "ClusterServingRuntime"
	kindModel          = "Model"
	kindHost           = "Host"
	kindEvent          = "Event"
)

// kinds by every name that kubectl users type.
var kinds = map[string]string{
	"isvc": kindService, "isvcs": kindService, "inferenceservice": kindService, "inferenceservices": kindService,
	"predictor": kindPredictor, "predictors": kindPredictor,
	"runtime": kindRuntime, "runtimes": kindRuntime, "sr": kindRuntime, "servingruntime": kindRuntime, "servingruntimes": kindRuntime,
	"csr": kindClusterRuntime, "clusterservingruntime": kindClusterRuntime, "clusterservingruntimes": kindClusterRuntime,
	"model": kindModel, "models": kindModel,
	"host": kindHost, "hosts": kindHost,
	"event": kindEvent, "events": kindEvent,
}

const kindWords = "isvc, predictors, runtimes, clusterservingruntimes, models, hosts, events"

func kindOf(word string) (string, error) {
	if kind, ok := kinds[strings.ToLower(word)]; ok {
		return kind, nil
	}
	switch strings.ToLower(word) {
	case "policy", "policies", "cm", "configmap", "configmaps":
		return "", fmt.Errorf("unknown resource %q: `wasmesh policy status` shows policies and their ConfigMaps", word)
	}
	return "", fmt.Errorf("unknown resource %q: one of %s", word, kindWords)
}

// kindAndName reads KIND, KIND NAME or KIND/NAME; name is empty for all of the kind. verb is for the error.
func kindAndName(verb string, args []string) (kind, name string, err error) {
	if len(args) == 0 {
		return "", "", fmt.Errorf("say what to %s: one of %s; `wasmesh %s --help` says more", verb, kindWords, verb)
	}
	word, name, slash := strings.Cut(args[0], "/")
	if len(args) > 2 || len(args) == 2 && slash || slash && name == "" {
		return "", "", fmt.Errorf("%q is too much or too little: `wasmesh %s isvc NAME` and `wasmesh %[2]s isvc/NAME` name one object",
			strings.Join(args, " "), verb)
	}
	if len(args) == 2 {
		name = args[1]
	}
	kind, err = kindOf(word)
	return kind, name, err
}

// reference is an object, or with an empty name every object of the kind and namespace.
type reference struct{ kind, namespace, name string }

// newReference leaves the namespace empty for kinds that have none.
func newReference(kind, namespace, name string) reference {
	if kind == kindClusterRuntime || kind == kindHost {
		namespace = ""
	}
	return reference{kind, namespace, name}
}

// where is the part of a message that says in which namespace.
func (r reference) where() string {
	if r.namespace == "" {
		return ""
	}
	return " in namespace " + r.namespace
}

// notFound also says where else to look: ModelMesh's runtimes are cluster-wide, as those of this project are.
func (c *client) notFound(ctx context.Context, r reference) error {
	if r.kind == kindRuntime && c.hasClusterRuntimes(ctx, r.name) {
		return fmt.Errorf("%w; a ClusterServingRuntime has that name: say clusterservingruntime %s", r.notFound(), r.name)
	}
	return r.notFound()
}

// hasClusterRuntimes of that name, or, when it is empty, any. It only serves a hint: an error is no.
func (c *client) hasClusterRuntimes(ctx context.Context, name string) bool {
	list, err := c.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: kindClusterRuntime, Name: name})
	return err == nil && len(list.GetObjects()) > 0
}

func (r reference) notFound() error {
	return fmt.Errorf("%s %q not found%s", r.kind, r.name, r.where())
}

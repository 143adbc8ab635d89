package cli

import (
	"errors"
	"fmt"
	"strings"

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
	return &client{AdminServiceClient: adminv1.NewAdminServiceClient(conn), conn: conn, dataDir: dataDir}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// explain turns "nobody answers on the socket" into what to do about it, and drops gRPC's frame around what the mesh
// says.
func (c *client) explain(err error) error {
	s, ok := status.FromError(err)
	switch {
	case err == nil || !ok:
		return err
	case s.Code() == codes.Unavailable:
		return fmt.Errorf("no mesh runs in %s: start one with `wasmesh up -f PATH`, or name its directory with --data-dir", c.dataDir)
	}
	return errors.New(s.Message())
}

// Kinds that commands ask for: those of objects, and two that only the mesh has.
const (
	kindService        = "InferenceService"
	kindPredictor      = "Predictor"
	kindRuntime        = "ServingRuntime"
	kindClusterRuntime = "ClusterServingRuntime"
	kindModel          = "Model"
	kindHost           = "Host"
)

// kinds by every name that kubectl users type.
var kinds = map[string]string{
	"isvc": kindService, "inferenceservice": kindService, "inferenceservices": kindService,
	"predictor": kindPredictor, "predictors": kindPredictor,
	"runtime": kindRuntime, "runtimes": kindRuntime, "servingruntime": kindRuntime, "servingruntimes": kindRuntime,
	"clusterservingruntime": kindClusterRuntime, "clusterservingruntimes": kindClusterRuntime,
	"model": kindModel, "models": kindModel,
	"host": kindHost, "hosts": kindHost,
}

func kindOf(word string) (string, error) {
	if kind, ok := kinds[strings.ToLower(word)]; ok {
		return kind, nil
	}
	return "", fmt.Errorf("unknown resource %q: one of isvc, predictors, runtimes, clusterservingruntimes, models, hosts", word)
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

func (r reference) notFound() error {
	return fmt.Errorf("%s %q not found%s", r.kind, r.name, r.where())
}

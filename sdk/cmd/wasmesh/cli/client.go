package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// client asks one mesh.
type client struct {
	adminv1.AdminServiceClient
	place
}

// place is where a mesh is found. Its errors are whole sentences for people.
type place interface {
	close()
	// defaultNamespace is meant when none is named.
	defaultNamespace() string
	// absent says what to do about a controller that does not answer.
	absent() error
	// returns says that such a controller is most likely about to answer again.
	returns() bool
	// server finds who answers a request for the model.
	server(ctx context.Context, c *client, asked serverQuery) (server, error)
	// putPolicy makes the ConfigMap one that the mesh reads, and says where it is. changed: it was another before.
	putPolicy(ctx context.Context, policy *corev1.ConfigMap, content []byte) (where string, changed bool, err error)
	// removal is the command that deletes the ConfigMap which putPolicy put where it says.
	removal(policy *corev1.ConfigMap, where string) string
	// obstacles say, a line each, what keeps an object from having a model, beside what its status says.
	obstacles(ctx context.Context, of reference, object string) []string
	// policyNamespace is where the mesh reads policies from.
	policyNamespace(ctx context.Context) (string, error)
}

// explain turns "nobody answers" into what to do about it, and drops gRPC's frame around what the mesh says.
func (c *client) explain(err error) error {
	s, ok := status.FromError(err)
	switch {
	case err == nil || !ok:
		return err
	case s.Code() == codes.Unavailable:
		return c.absent()
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

// patiently repeats ask for some time while the controller is about to return, or has not heard from hosts.
func (c *client) patiently(ctx context.Context, ask func() error) error {
	for deadline := time.Now().Add(restartPatience); ; {
		err := ask()
		again := status.Code(err) == codes.Unavailable || errors.Is(err, errNoHost)
		if !again || time.Now().After(deadline) || !c.returns() {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(restartPoll):
		}
	}
}

// namespaceOr answers the namespace that was named, or the one that is meant without.
func (c *client) namespaceOr(named string) string {
	if named == "" {
		return c.defaultNamespace()
	}
	return named
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

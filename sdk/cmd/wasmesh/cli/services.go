package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// service is what the announcement needs of an InferenceService or Predictor.
type service struct {
	reference
	// state is that of the model that answers now.
	state string
	// transition is "BlockedByFailedLoad" or "InvalidSpec" when what is declared cannot become active.
	transition string
	// reason and message of the last failure.
	reason, message string
}

// services answers all of them, in all namespaces, and what the mesh could not read of its sources.
func (c *client) services(ctx context.Context) (services []service, warnings []string, err error) {
	for _, kind := range []string{kindService, kindPredictor} {
		list, err := c.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: kind})
		if err != nil {
			return nil, nil, err
		}
		more, err := servicesOf(kind, list.GetObjects())
		if err != nil {
			return nil, nil, err
		}
		services = append(services, more...)
		warnings = list.GetWarnings() // the same whatever the kind
	}
	return services, warnings, nil
}

func servicesOf(kind string, contents []string) (services []service, err error) {
	for _, content := range contents {
		object, err := printer.ParseObject(content)
		if err != nil {
			return nil, err
		}
		services = append(services, serviceOf(kind, object))
	}
	return services, nil
}

func serviceOf(kind string, object printer.Object) service {
	status, states := []string{"status"}, []string{"status"}
	if kind == kindService {
		status = []string{"status", "modelStatus"}
		states = []string{"status", "modelStatus", "states"}
	}
	text := func(path []string, more ...string) string {
		return object.Text(append(path[:len(path):len(path)], more...)...)
	}
	return service{
		reference:  newReference(kind, object.Text("metadata", "namespace"), object.Text("metadata", "name")),
		state:      text(states, "activeModelState"),
		transition: text(status, "transitionStatus"),
		reason:     text(status, "lastFailureInfo", "reason"),
		message:    text(status, "lastFailureInfo", "message"),
	}
}

// ready: a request is answered, after a load if need be.
func (s service) ready() bool { return s.state == "Loaded" || s.state == "Standby" }

// failed: what is declared does not work as it is.
func (s service) failed() bool {
	return s.state == "FailedToLoad" || s.transition == "BlockedByFailedLoad" || s.transition == "InvalidSpec"
}

// line says how the service is.
func (s service) line() string {
	if s.failed() {
		return s.failure()
	}
	state := s.state
	if state == "" {
		state = "Pending"
	}
	if s.transition != "" {
		state += " / " + s.transition
	}
	return fmt.Sprintf("%s %s: %s", s.kind, s.name, state)
}

// status is what is news about a service when it changes. That a model is loaded when it is asked, and makes room when it
// is not, is none; nor is another attempt at what failed, whose message may differ each time.
func (s service) status(before string) string {
	standing := "failed"
	switch {
	case s.failed():
	case s.ready():
		standing = "ready"
	case s.state == "Loading" && strings.HasPrefix(before, s.transition+" "):
		return before
	default:
		standing = s.state
	}
	return s.transition + " " + standing + " " + s.reason
}

// failure is a line for people.
func (s service) failure() string {
	line := fmt.Sprintf("%s %s failed", s.kind, s.name)
	if s.reason != "" {
		line += ": " + s.reason
	}
	if s.message != "" {
		line += ": " + s.message
	}
	return line
}

// words are the object on a command line: "isvc NAME".
func (s service) words() string {
	word := "isvc "
	if s.kind == kindPredictor {
		word = "predictor "
	}
	if s.namespace != defaultNamespace {
		return word + s.name + " -n " + s.namespace
	}
	return word + s.name
}

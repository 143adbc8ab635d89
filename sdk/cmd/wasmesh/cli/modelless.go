package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
)

// modelless explains InferenceServices and Predictors of the name of which the mesh has no model; nil when there are none, or
// they cannot be seen.
func (c *client) modelless(ctx context.Context, namespace, name string) error {
	var explained []string
	for _, kind := range []string{kindService, kindPredictor} {
		ref := newReference(kind, namespace, name)
		list, err := c.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: kind, Namespace: namespace, Name: name})
		if err != nil || len(list.GetObjects()) == 0 {
			continue
		}
		text := fmt.Sprintf("%s %q of namespace %s has no model", kind, name, namespace)
		if lines := c.whyModelless(ctx, ref, list.GetObjects()[0]); len(lines) > 0 {
			text += ":\n  " + strings.Join(lines, "\n  ")
		} else {
			text += " so far; `wasmesh describe " + service{reference: ref}.words() + "` shows its status and events"
		}
		explained = append(explained, text)
	}
	if len(explained) == 0 {
		return nil
	}
	return errors.New(strings.Join(explained, "\n"))
}

// whyModelless says, a line each, what keeps an object from having a model, as far as that can be seen from it.
func (c *client) whyModelless(ctx context.Context, of reference, content string) (lines []string) {
	said := ""
	if object, err := printer.ParseObject(content); err == nil {
		said = complaint(of.kind, object)
	}
	if said != "" {
		lines = append(lines, "its status says: "+said)
	}
	return append(lines, keep(c.obstacles(ctx, of, content), func(line string) bool {
		return said == "" || !strings.Contains(line, said) // The controller and lint often have the same words.
	})...)
}

// complaint is what the status of an object says is wrong: the last failure, or a condition that is not met.
func complaint(kind string, object printer.Object) string {
	if s := serviceOf(kind, object); s.message != "" {
		return strings.TrimPrefix(s.reason+": "+s.message, ": ")
	}
	for _, condition := range object.Items("status", "conditions") {
		if condition.Text("status") == "False" && condition.Text("message") != "" {
			return condition.Text("type") + ": " + condition.Text("message")
		}
	}
	return ""
}

package writeback

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Memory is what an object keeps of its alias beside the spec: see decide.Output.
type Memory struct {
	// Active is nil for none.
	Active *syncv1.Model
	// Refused is the id of a model, "" for none.
	Refused string
}

// ReadMemory reads the annotations of an object. What cannot be read counts as absent: it is decided anew, and written.
func ReadMemory(annotations map[string]string) Memory {
	m := Memory{Refused: annotations[serving.AnnotationRefusedModel]}
	text, found := annotations[serving.AnnotationActiveModel]
	if !found {
		return m
	}
	active := &syncv1.Model{}
	err := protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal([]byte(text), active)
	if err == nil && active.GetId() != "" {
		m.Active = active
	}
	return m
}

// Equal compares what is said, not how it is written.
func (m Memory) Equal(other Memory) bool {
	return m.Refused == other.Refused && (m.Active == other.Active || proto.Equal(m.Active, other.Active))
}

// annotations that say it; one without a value is absent.
func (m Memory) annotations() (map[string]string, error) {
	annotations := map[string]string{}
	if m.Refused != "" {
		annotations[serving.AnnotationRefusedModel] = m.Refused
	}
	if m.Active == nil {
		return annotations, nil
	}
	data, err := protojson.Marshal(m.Active)
	if err != nil {
		return nil, err
	}
	// protojson puts in spaces at random, so that nobody relies on its bytes; people compare them all the same.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, err
	}
	annotations[serving.AnnotationActiveModel] = compact.String()
	return annotations, nil
}

// WriteMemory makes the annotations say what is wanted; there is what they say now, as the cache has it. The object has
// kind, apiVersion and uid.
func WriteMemory(ctx context.Context, c client.Client, o client.Object, there map[string]string, wanted Memory) error {
	if ReadMemory(there).Equal(wanted) && !unreadable(there) {
		return nil
	}
	annotations, err := wanted.annotations()
	if err != nil {
		return fmt.Errorf("write active model of %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	b := newBody(o)
	b.Metadata["annotations"] = annotations
	after := reference(o)
	err = patch(ctx, c, after, types.ApplyPatchType, b, client.ForceOwnership)
	if left := leftAnnotations(after.Annotations, annotations); err == nil && len(left) > 0 {
		b.Metadata["annotations"] = left
		err = patch(ctx, c, after, types.MergePatchType, b)
	}
	if err != nil {
		return fmt.Errorf("write active model of %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

func patch(ctx context.Context, c client.Client, o *metav1.PartialObjectMetadata, how types.PatchType, b body, options ...client.PatchOption) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return gone(c.Patch(ctx, o, client.RawPatch(how, data), append(options, client.FieldOwner(ActiveManager))...))
}

// unreadable says that there is an annotation that ReadMemory could make nothing of.
func unreadable(there map[string]string) bool {
	_, found := there[serving.AnnotationActiveModel]
	return found && ReadMemory(there).Active == nil
}

// leftAnnotations are those of our names that others have written as well, as by kubectl apply of a copied object, so that
// they stay when we apply without them; each is null, as a merge patch wants it.
func leftAnnotations(there, wanted map[string]string) map[string]any {
	left := map[string]any{}
	for _, key := range []string{serving.AnnotationActiveModel, serving.AnnotationRefusedModel} {
		_, is := there[key]
		if _, stays := wanted[key]; is && !stays {
			left[key] = nil
		}
	}
	return left
}

package decide

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// messageNameTaken is ModelMesh's, for either kind.
const messageNameTaken = "Predictor already exists with the same name from a different source"

// alias is an InferenceService or Predictor in the one form that all rules use.
type alias struct {
	key   Key
	owner modelid.Source
	// spec is what the object now asks for; nil when fault is set.
	spec  *resolve.Spec
	fault *resolve.Reason
	// wishes are what its annotations ask of its models, whether or not there is a spec, and annotationFaults what is wrong
	// with those that are not followed.
	wishes           resolve.Wishes
	annotationFaults []string
	// homeless: the name cannot be, or is another object's, so there is no row for this one. fault says why.
	homeless bool
	// before is what the object's present status says.
	before standing
	// One of the two is set.
	inferenceService *v1beta1.InferenceService
	predictor        *v1alpha1.Predictor
}

// gather answers the objects that are ours, resolved, sorted by key. Of two with one key the first counts.
func gather(in Input) []*alias {
	var all []*alias
	for _, isvc := range in.Objects.InferenceServices {
		if isvc != nil && resolve.IsModelMesh(isvc) {
			a := ofInferenceService(isvc)
			a.wish(isvc.Annotations, in)
			all = append(all, a)
		}
	}
	for _, p := range in.Objects.Predictors {
		if p != nil {
			a := ofPredictor(p)
			a.wish(p.Annotations, in)
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b *alias) int { return compareKeys(a.key, b.key) })
	all = slices.CompactFunc(all, func(a, b *alias) bool { return a.key == b.key })
	refuseNames(all)
	refuseTaken(all, in)
	refuseCollisions(all, in, modelid.KeyOf)
	return all
}

func ofInferenceService(isvc *v1beta1.InferenceService) *alias {
	a := &alias{
		key:              Key{Namespace: isvc.Namespace, Kind: v1beta1.Kind, Name: isvc.Name},
		owner:            modelid.InferenceService,
		before:           standingOfInferenceService(isvc.Status),
		inferenceService: isvc,
	}
	spec, err := resolve.FromInferenceService(isvc)
	a.resolved(spec, err)
	return a
}

func ofPredictor(p *v1alpha1.Predictor) *alias {
	a := &alias{
		key:       Key{Namespace: p.Namespace, Kind: v1alpha1.KindPredictor, Name: p.Name},
		owner:     modelid.Predictor,
		before:    standingOfPredictor(p.Status),
		predictor: p,
	}
	spec, err := resolve.FromPredictor(p)
	a.resolved(spec, err)
	return a
}

// resolved takes what package resolve answered.
func (a *alias) resolved(spec resolve.Spec, err error) {
	if err == nil {
		// One row that cannot be sent would keep all others from being published.
		_, err = proto.Marshal(resolve.Model(spec, nil))
	}
	if err == nil {
		a.spec = &spec
		return
	}
	if !errors.As(err, &a.fault) {
		a.fault = &resolve.Reason{Code: v1beta1.InvalidPredictorSpec, Message: err.Error()}
	}
}

// remembered is the active model that memory has for the object, unless it cannot be the object's: in a cluster the
// memory is an annotation, which anybody may write.
func (a *alias) remembered(in Input) *syncv1.Model {
	m := in.Active[a.key]
	if m == nil || m.Namespace != a.key.Namespace || m.Alias != a.key.Name {
		return nil
	}
	id, err := modelid.Parse(m.Id)
	if err != nil || id.Name != a.key.Name || id.Source != a.owner {
		return nil
	}
	return m
}

// refuse takes the object out of the catalog.
func (a *alias) refuse(message string) {
	a.spec, a.homeless = nil, true
	a.fault = &resolve.Reason{Code: v1beta1.InvalidPredictorSpec, Message: message}
}

// refuseNames refuses what could not be told from another object in the key of a row. No API server lets such a name in.
func refuseNames(all []*alias) {
	for _, a := range all {
		for _, part := range []string{a.key.Namespace, a.key.Name} {
			if part == "" || strings.Contains(part, "/") || !utf8.ValidString(part) {
				a.refuse("metadata.namespace and metadata.name must be given, in UTF-8 and without \"/\"")
			}
		}
	}
}

// refuseTaken settles whom a name belongs to when an InferenceService and a Predictor both have it: to the one that
// already answers under it, otherwise to the one that can, otherwise to the InferenceService. So nobody can take the
// name from a model in use.
func refuseTaken(all []*alias, in Input) {
	services := map[Key]*alias{}
	for _, a := range all {
		if a.inferenceService != nil {
			services[Key{Namespace: a.key.Namespace, Name: a.key.Name}] = a
		}
	}
	for _, p := range all {
		isvc := services[Key{Namespace: p.key.Namespace, Name: p.key.Name}]
		if p.predictor == nil || isvc == nil {
			continue
		}
		taken := p.remembered(in) != nil || p.spec != nil && isvc.spec == nil
		if taken && isvc.remembered(in) == nil {
			isvc.refuse(messageNameTaken)
		} else {
			p.refuse(messageNameTaken)
		}
	}
}

// refuseCollisions refuses a spec whose model has the Key of another: everything that is small (residency, gossip, rows of
// policies) knows models by their Key alone and would take one for the other. A model that answers goes first, then the
// first object; what has been answering for the refused one stays.
func refuseCollisions(all []*alias, in Input, keyOf func(namespace, id string) modelid.Key) {
	owners := make(map[modelid.Key]string, len(all))
	claim := func(namespace, id string) (owner string, granted bool) {
		key, row := keyOf(namespace, id), ModelRowKey(namespace, id)
		if owner, taken := owners[key]; taken {
			return owner, owner == row
		}
		owners[key] = row
		return row, true
	}
	for _, a := range all {
		if m := a.remembered(in); m != nil && !a.homeless {
			claim(m.Namespace, m.Id)
		}
	}
	for _, a := range all {
		if a.spec == nil {
			continue
		}
		id := a.spec.ID.String()
		if owner, granted := claim(a.key.Namespace, id); !granted {
			a.spec = nil
			a.fault = &resolve.Reason{Code: v1beta1.InvalidPredictorSpec, Message: fmt.Sprintf(
				"The key of model %s collides with that of %s: rename one of the two", id, owner)}
		}
	}
}

// compareKeys orders by namespace, then name, then kind, so that what people read is in the order of their objects.
func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

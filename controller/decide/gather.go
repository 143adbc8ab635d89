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

// alias is an InferenceService or Predictor in the one form that all rules use. It never changes once it is resolved: the
// next decision may use it as well.
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
	// memory is what remembered answered. answers is the claim of that model to its key, and wants that of the spec's.
	memory         *syncv1.Model
	answers, wants claim
	// active is what Input.Active had when the object was resolved, and steady what was decided; nil when that has to be done
	// anew.
	active *syncv1.Model
	steady *steady
	// alone is the object as it was before it was refused for another's sake; nil when it was not.
	alone *alias
	// before is what the object's present status says.
	before standing
	// One of the two is set.
	inferenceService *v1beta1.InferenceService
	predictor        *v1alpha1.Predictor
}

// gather answers the objects that are ours, resolved, sorted by key. Of two with one key the first counts.
func gather(in Input) []*alias {
	all := make([]*alias, 0, len(in.Objects.InferenceServices)+len(in.Objects.Predictors))
	for _, isvc := range in.Objects.InferenceServices {
		if a := in.Memo.inferenceService(isvc, in); a != nil {
			all = append(all, a)
		} else if isvc != nil && resolve.IsModelMesh(isvc) {
			all = append(all, ofInferenceService(isvc, in))
		}
	}
	for _, p := range in.Objects.Predictors {
		if a := in.Memo.predictor(p, in); a != nil {
			all = append(all, a)
		} else if p != nil {
			all = append(all, ofPredictor(p, in))
		}
	}
	slices.SortStableFunc(all, func(a, b *alias) int { return compareKeys(a.key, b.key) })
	all = slices.CompactFunc(all, func(a, b *alias) bool { return a.key == b.key })
	refuseNames(all)
	refuseTaken(all)
	refuseCollisions(all, claim.keyOf)
	return all
}

func ofInferenceService(isvc *v1beta1.InferenceService, in Input) *alias {
	a := &alias{
		key:              Key{Namespace: isvc.Namespace, Kind: v1beta1.Kind, Name: isvc.Name},
		owner:            modelid.InferenceService,
		before:           standingOfInferenceService(isvc.Status),
		inferenceService: isvc,
	}
	spec, err := resolve.FromInferenceService(isvc)
	a.resolved(spec, err)
	a.wish(isvc.Annotations, in)
	a.claim()
	return a
}

func ofPredictor(p *v1alpha1.Predictor, in Input) *alias {
	a := &alias{
		key:       Key{Namespace: p.Namespace, Kind: v1alpha1.KindPredictor, Name: p.Name},
		owner:     modelid.Predictor,
		before:    standingOfPredictor(p.Status),
		predictor: p,
	}
	spec, err := resolve.FromPredictor(p)
	a.resolved(spec, err)
	a.wish(p.Annotations, in)
	a.claim()
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

// refused answers the object without what it asks for.
func (a *alias) refused(message string) *alias {
	r := *a
	r.alone, r.spec, r.steady = cmp.Or(a.alone, a), nil, nil
	r.fault = &resolve.Reason{Code: v1beta1.InvalidPredictorSpec, Message: message}
	return &r
}

// banished answers the object as one that has no place in the catalog.
func (a *alias) banished(message string) *alias {
	r := a.refused(message)
	r.homeless = true
	return r
}

// refuseNames refuses what could not be told from another object in the key of a row. No API server lets such a name in.
func refuseNames(all []*alias) {
	for i, a := range all {
		for _, part := range []string{a.key.Namespace, a.key.Name} {
			if part == "" || strings.Contains(part, "/") || !utf8.ValidString(part) {
				all[i] = a.banished("metadata.namespace and metadata.name must be given, in UTF-8 and without \"/\"")
			}
		}
	}
}

// refuseTaken settles whom a name belongs to when an InferenceService and a Predictor both have it: to the one that
// already answers under it, otherwise to the one that can, otherwise to the InferenceService. So nobody can take the
// name from a model in use. Of all objects, which are sorted, the two stand side by side.
func refuseTaken(all []*alias) {
	for i := 1; i < len(all); i++ {
		isvc, p := all[i-1], all[i]
		if isvc.inferenceService == nil || p.predictor == nil ||
			isvc.key.Name != p.key.Name || isvc.key.Namespace != p.key.Namespace {
			continue
		}
		taken := p.memory != nil || p.spec != nil && isvc.spec == nil
		if taken && isvc.memory == nil {
			all[i-1] = isvc.banished(messageNameTaken)
		} else {
			all[i] = p.banished(messageNameTaken)
		}
	}
}

// claim is that of a model to its Key. Without a row there is none.
type claim struct {
	id, row string
	key     modelid.Key
}

func (c claim) keyOf() modelid.Key { return c.key }

func claimOf(namespace, id string) claim {
	return claim{id: id, row: ModelRowKey(namespace, id), key: modelid.KeyOf(namespace, id)}
}

// claim works the object's out.
func (a *alias) claim() {
	if a.memory != nil {
		a.answers = claimOf(a.key.Namespace, a.memory.Id)
	}
	if a.spec != nil {
		a.wants = claimOf(a.key.Namespace, a.spec.ID.String())
	}
}

// refuseCollisions refuses a spec whose model has the Key of another: everything that is small (residency, gossip, rows of
// policies) knows models by their Key alone and would take one for the other. A model that answers goes first, then the
// first object; what has been answering for the refused one stays.
func refuseCollisions(all []*alias, keyOf func(claim) modelid.Key) {
	owners := make(map[modelid.Key]string, len(all))
	for _, a := range all {
		if a.memory == nil || a.homeless {
			continue
		}
		if key := keyOf(a.answers); owners[key] == "" {
			owners[key] = a.answers.row
		}
	}
	for i, a := range all {
		if a.spec == nil {
			continue
		}
		key := keyOf(a.wants)
		switch owner := owners[key]; owner {
		case a.wants.row:
		case "":
			owners[key] = a.wants.row
		default:
			all[i] = a.refused(fmt.Sprintf("The key of model %s collides with that of %s: rename one of the two", a.wants.id, owner))
		}
	}
}

// compareKeys orders by namespace, then name, then kind, so that what people read is in the order of their objects.
func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

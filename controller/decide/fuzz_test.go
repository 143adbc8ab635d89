package decide

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// FuzzGarbage puts objects full of nonsense beside one that works: nothing panics, and nothing that is said of the good one
// changes.
func FuzzGarbage(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		s, _ := loadedModel(t)
		s.declare(sklearn("m", "sklearn/better"))
		s.decide()
		g := garbage{rand.New(rand.NewPCG(seed, 1))}
		in := s.in
		in.Objects.InferenceServices = slices.Clone(in.Objects.InferenceServices)
		for range g.IntN(6) {
			switch g.IntN(4) {
			case 0:
				in.Objects.InferenceServices = append(in.Objects.InferenceServices, g.inferenceService())
			case 1:
				in.Objects.Predictors = append(in.Objects.Predictors, g.predictor())
			case 2:
				in.Objects.ServingRuntimes = append(in.Objects.ServingRuntimes, g.servingRuntime())
			case 3:
				in.Hosts = append(slices.Clone(in.Hosts), g.host())
			}
		}
		clean, dirty := Decide(s.in), Decide(in)
		if a, b := aboutGood(clean), aboutGood(dirty); a != b {
			t.Errorf("with garbage:\n%s\nwithout:\n%s", b, a)
		}
		if a, b := fingerprint(dirty), fingerprint(Decide(in)); a != b {
			t.Errorf("two decisions differ:\n%s\n----\n%s", a, b)
		}
		checkRows(t, dirty)
		settled := apply(in, dirty)
		if again := Decide(settled); len(again.InferenceServices)+len(again.Predictors)+len(again.Events) > 0 {
			t.Errorf("still changes: %v %v %v", again.InferenceServices, again.Predictors, again.Events)
		}
	})
}

// aboutGood is what an Output says of the InferenceService m and its models.
func aboutGood(o Output) string {
	var b strings.Builder
	for _, row := range o.Rows {
		if row.Key == AliasRowKey("default", "m") || row.GetModel().GetAlias() == "m" && strings.Contains(row.Key, "__isvc-") {
			fmt.Fprintln(&b, row.Key, wire(row))
		}
	}
	key := Key{"default", v1beta1.Kind, "m"}
	fmt.Fprintln(&b, mustJSON(o.InferenceServices[key]), wire(o.Active[key]))
	for _, p := range o.Runtimes {
		if p.Namespace == "default" && p.Name == tutorialRuntime {
			fmt.Fprintln(&b, wire(p))
		}
	}
	return b.String()
}

// checkRows: keys are unique and sorted, and an alias points to nothing that is not there.
func checkRows(t *testing.T, o Output) {
	t.Helper()
	keys := map[string]bool{}
	for i, row := range o.Rows {
		if i > 0 && o.Rows[i-1].Key >= row.Key {
			t.Errorf("row %q follows %q", row.Key, o.Rows[i-1].Key)
		}
		keys[row.Key] = true
	}
	for _, row := range o.Rows {
		a := row.GetAlias()
		if a == nil {
			continue
		}
		if (a.ActiveModelId == "") == (a.UnavailableReason == "") {
			t.Errorf("alias %v has both or neither of a model and a reason", a)
		}
		for _, id := range []string{a.ActiveModelId, a.TargetModelId} {
			if id != "" && !keys[ModelRowKey(a.Namespace, id)] {
				t.Errorf("alias %v points to a model without a row", a)
			}
		}
	}
}

// garbage makes objects of fields that are absent, empty, wrong or right.
type garbage struct{ *rand.Rand }

func (g garbage) text() string {
	pool := []string{"", "sklearn", "m", "junk", "s3://b/p", "ftp://x", "pvc://", "https://127.0.0.1/a?b",
		"a/b", "\xff\x00", "-1", "{}", "🦀"}
	return pool[g.IntN(len(pool))]
}

func (g garbage) optional() *string {
	if g.IntN(2) == 0 {
		return nil
	}
	s := g.text()
	return &s
}

func (g garbage) flag() *bool {
	return []*bool{nil, new(bool), func() *bool { b := true; return &b }()}[g.IntN(3)]
}

func (g garbage) meta() metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace: []string{"default", "", "other", "a/b"}[g.IntN(4)],
		Name:      []string{"x", "y", "", "m/x", "m__isvc-0123456789", "\xff"}[g.IntN(6)],
	}
	if g.IntN(8) > 0 {
		m.Annotations = map[string]string{serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh}
		for _, a := range []string{
			serving.AnnotationSecretKey, serving.AnnotationMinCopies,
			serving.AnnotationModelSize, serving.AnnotationServingRuntime,
		} {
			if g.IntN(4) == 0 {
				m.Annotations[a] = g.text()
			}
		}
	}
	return m
}

func (g garbage) extension() v1beta1.PredictorExtensionSpec {
	e := v1beta1.PredictorExtensionSpec{StorageURI: g.optional(), ProtocolVersion: g.optional()}
	if g.IntN(2) == 0 {
		e.Storage = g.storage()
	}
	return e
}

func (g garbage) storage() *v1beta1.StorageSpec {
	st := &v1beta1.StorageSpec{Path: g.optional(), SchemaPath: g.optional(), StorageKey: g.optional()}
	if g.IntN(2) == 0 {
		st.Parameters = map[string]string{g.text(): g.text()}
	}
	return st
}

func (g garbage) inferenceService() *v1beta1.InferenceService {
	if g.IntN(10) == 0 {
		return nil
	}
	o := &v1beta1.InferenceService{ObjectMeta: g.meta()}
	if g.IntN(3) > 0 {
		o.Spec.Predictor.Model = &v1beta1.ModelSpec{
			ModelFormat: v1beta1.ModelFormat{Name: g.text(), Version: g.optional()}, Runtime: g.optional(),
			PredictorExtensionSpec: g.extension(),
		}
	}
	if g.IntN(3) == 0 {
		e := g.extension()
		o.Spec.Predictor.SKLearn = &e
	}
	if g.IntN(2) == 0 {
		st := &o.Status
		st.ModelStatus.TransitionStatus = v1beta1.TransitionStatus(g.text())
		st.ModelStatus.ModelRevisionStates = &v1beta1.ModelRevisionStates{ActiveModelState: v1beta1.ModelState(g.text())}
		st.ModelStatus.LastFailureInfo = &v1beta1.FailureInfo{Reason: v1beta1.RuntimeUnhealthy}
		st.Conditions = []v1beta1.Condition{{Type: "Ready"}, {Type: "Ready", Status: corev1.ConditionTrue}, {Type: g.text()}}
	}
	return o
}

func (g garbage) predictor() *v1alpha1.Predictor {
	if g.IntN(10) == 0 {
		return nil
	}
	o := &v1alpha1.Predictor{ObjectMeta: g.meta()}
	if g.IntN(4) == 0 {
		// The name of the good one, of the other kind: it is taken.
		o.Namespace, o.Name = "default", "m"
	}
	o.Spec = v1alpha1.PredictorSpec{ModelType: v1alpha1.ModelType{Name: g.text()}, Path: g.text(), SchemaPath: g.optional()}
	if g.IntN(2) == 0 {
		o.Spec.Storage = &v1alpha1.Storage{StorageSpec: *g.storage()}
	}
	if g.IntN(3) == 0 {
		o.Spec.Runtime = &v1alpha1.RuntimeRef{Name: g.text()}
	}
	return o
}

// servingRuntime never offers the good one's format: that would be no garbage.
func (g garbage) servingRuntime() *v1alpha1.ServingRuntime {
	if g.IntN(10) == 0 {
		return nil
	}
	o := &v1alpha1.ServingRuntime{ObjectMeta: g.meta()}
	o.Spec = v1alpha1.ServingRuntimeSpec{
		SupportedModelFormats: []v1alpha1.SupportedModelFormat{{Name: "junk", Version: g.optional(), AutoSelect: g.flag()}},
		MultiModel:            g.flag(), Disabled: g.flag(),
		GrpcDataEndpoint: g.optional(), GrpcMultiModelManagementEndpoint: g.optional(),
	}
	if g.IntN(2) == 0 {
		o.Spec.BuiltInAdapter = &v1alpha1.BuiltInAdapter{ServerType: g.text(), MemBufferBytes: g.Int64() - 1<<62}
	}
	if g.IntN(2) == 0 {
		o.Spec.Containers = []corev1.Container{{Name: g.text()}}
	}
	return o
}

// host is of another namespace, or says nothing; one of the good one's namespace would be believed.
func (g garbage) host() Host {
	h := Host{Connected: g.IntN(2) == 0, Complete: g.IntN(2) == 0}
	if g.IntN(2) == 0 {
		h.Hello = &syncv1.Hello{Namespace: "other", HostId: g.text(), Runtime: g.text()}
		h.Copies = map[string]*syncv1.Copy{g.text(): nil, g.text(): {State: syncv1.CopyState(g.IntN(9))}}
	}
	return h
}

// FuzzMesh lets objects, hosts and copies change at random. Besides what script.decide checks after every step, a model
// that answers is only ever given up for one that is loaded.
func FuzzMesh(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 60 {
		ops := make([]byte, 60)
		for i := range ops {
			ops[i] = byte(r.UintN(256))
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 120 {
			ops = ops[:120]
		}
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/0"))
		for i := range 2 {
			s.host(fmt.Sprintf("host-%d", i), tutorialRuntime)
		}
		s.decide()
		for _, op := range ops {
			before := ""
			if a := s.alias("m"); a.ActiveModelId != "" {
				before = a.ActiveModelId
			}
			s.turn(op)
			answered := s.loaded(before)
			s.decide()
			checkRows(t, s.out)
			after := s.alias("m").ActiveModelId
			if before != "" && answered && after != before && !s.loaded(after) {
				t.Fatalf("%s was loaded and gave way to %q, which is not", before, after)
			}
			if st := standingOfInferenceService(s.isvc("m").Status); s.in.Settled && !valid(st) {
				t.Fatalf("contradictory status %+v", st)
			}
		}
	})
}

// loaded says whether a connected host has the model loaded.
func (s *script) loaded(id string) bool {
	for _, h := range s.hosts {
		if h.Connected && h.Copies[id].GetState() == loadedCopy {
			return true
		}
	}
	return false
}

// turn changes one thing in the world.
func (s *script) turn(op byte) {
	what, detail := op%8, op/8
	h := s.hosts[fmt.Sprintf("host-%d", detail%2)]
	switch what {
	case 0:
		s.declare(sklearn("m", fmt.Sprintf("sklearn/%d", detail%3)))
	case 1:
		s.declare(contradictory("m"))
	case 2:
		h.Connected = detail%4 < 2
		h.Complete = h.Connected && detail%8 < 6
	case 3:
		h.RuntimeState = syncv1.RuntimeState(detail/2) % 4
	case 4:
		h.Acked = &syncv1.Version{Term: 1, Sequence: s.sequence}
	case 5:
		s.in.Settled = detail%4 > 0
	default:
		a := s.alias("m")
		id := a.ActiveModelId
		if what == 7 && a.TargetModelId != "" {
			id = a.TargetModelId
		}
		c := &syncv1.Copy{ModelId: id, State: syncv1.CopyState(detail/2) % 6}
		if c.State == syncv1.CopyState_COPY_STATE_FAILED {
			c.Failure = &syncv1.Failure{Reason: syncv1.FailureReason(detail % 4), TimeMs: s.in.Now.Add(-time.Minute).UnixMilli()}
		}
		copies := map[string]*syncv1.Copy{id: c}
		for other, kept := range h.Copies {
			if other != id {
				copies[other] = kept
			}
		}
		h.Copies = copies
	}
}

// valid: the words of one status agree with each other.
func valid(s standing) bool {
	switch s.transition {
	case v1beta1.UpToDate:
		return s.target == ""
	case v1beta1.InProgress:
		return s.target != "" && s.target != v1beta1.FailedToLoad && s.target != v1beta1.Loaded
	case v1beta1.BlockedByFailedLoad:
		return s.target == v1beta1.FailedToLoad && s.failure != nil
	case v1beta1.InvalidSpec:
		return s.target == "" && s.failure != nil && s.failure.Reason == v1beta1.InvalidPredictorSpec
	}
	return false
}

package decide

import (
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Key identifies an object: every key of the system is (namespace, kind, name).
type Key struct {
	Namespace, Kind, Name string
}

// Objects is everything declared, as the source read it; nothing here is written by decide.
type Objects struct {
	InferenceServices      []*v1beta1.InferenceService
	Predictors             []*v1alpha1.Predictor
	ServingRuntimes        []*v1alpha1.ServingRuntime
	ClusterServingRuntimes []*v1alpha1.ClusterServingRuntime
}

// Host is what one host has said of itself, as the sync server merged it.
type Host struct {
	Hello     *syncv1.Hello
	Connected bool
	// Complete: the full report of the present stream has arrived, so absence of a copy is a fact.
	Complete bool
	// Acked is the newest catalog that the host has applied whole.
	Acked *syncv1.Version
	// Copies by model id.
	Copies         map[string]*syncv1.Copy
	Load           *syncv1.Load
	RuntimeState   syncv1.RuntimeState
	RuntimeMessage string
	// Demands are requests that wait for a runtime that the host does not have.
	Demands []*syncv1.Demand
	// Draining says how far the host is with leaving; nil while it stays.
	Draining *syncv1.Draining
}

// Input is one consistent look at the world.
type Input struct {
	Now     time.Time
	Objects Objects
	Hosts   []Host
	// Active is the durable definition of each alias's active model, as the last Output said it.
	Active map[Key]*syncv1.Model
	// Published is the version of the catalog that hosts were last sent, and the rows in it by key: a model counts as
	// considered by a host once that host has acknowledged a version that carries it.
	Published Published
	// Refused is, for each alias, the id of the target that last failed on a host, as the last Output said it. Durable like
	// Active: when everything restarts, no host remembers the failure, and an idle mesh would fall from a good active model
	// onto the bad target because neither has a copy.
	Refused map[Key]string
	// Faults says why no pods can be made of each ServingRuntime and ClusterServingRuntime that is faulty, as the last Output
	// said it; it need not outlive the controller. Runtimes have no status that could remember which Event was recorded.
	Faults map[Key]string
	// AnnotationFaults says of each InferenceService and Predictor which annotations are not followed, as the last Output said
	// it; like Faults it need not outlive the controller.
	AnnotationFaults map[Key][]string
	// Refuted is what the last Output said; like Faults it need not outlive the controller.
	Refuted map[FailedCopy]bool
	// Endpoints are the addresses that statuses tell clients.
	Endpoints Endpoints
	// Memo is what the last Output said, or nil: it spares work, and decides nothing. What is reachable from an Input must then
	// never change once it was decided on.
	Memo *Memo
	// Asleep are the runtimes that have no pods because nobody used them, and those that were just woken, by namespace and
	// name; their Kind is empty. While a gateway is connected, it stands in for the hosts that such a runtime has not.
	Asleep map[Key]bool
	// Settled is false until every host known at start has reported, or 15 s have passed: before it no status is written,
	// since missing reports would read as missing copies. Only that no runtime can hold a model needs no report.
	Settled bool
	// Status says how a status reads: the answer of a status policy that was checked against the ABI, the same for the same
	// request. It may fill the request's header, and must not keep the request. Nil is the built-in policy.
	Status func(*policyabi.StatusRequest) policyabi.StatusAnswer
	// StatusVersion is another one whenever Status may answer a request otherwise than before.
	StatusVersion uint64
}

// Endpoints are URLs at which clients reach the mesh. In each, "{namespace}" stands for the object's namespace; an empty
// one is ModelMesh's default.
type Endpoints struct {
	// GRPC defaults to DefaultGRPCEndpoint; standalone it is such as "grpc://127.0.0.1:8033".
	GRPC string
	// REST defaults to DefaultRESTEndpoint; standalone it is such as "http://127.0.0.1:8008".
	REST string
}

// Endpoints of ModelMesh's Service with ModelMesh's default configuration.
const (
	DefaultGRPCEndpoint = "grpc://modelmesh-serving.{namespace}:8033"
	DefaultRESTEndpoint = "http://modelmesh-serving.{namespace}:8008"
)

// Published says since which version each row has been in the catalog.
type Published struct {
	Since map[string]*syncv1.Version
}

// Output is what should be.
type Output struct {
	// Rows of the catalog, sorted by key, without digests. With a Memo, most that have not changed are the same pointers as
	// before, so nobody may change them.
	Rows []*syncv1.Row
	// Active must be durable before Rows are published; keys that are absent are to be forgotten.
	Active map[Key]*syncv1.Model
	// Refused must be durable like Active.
	Refused map[Key]string
	// Changing are the keys of Active whose model the object's spec does not ask for: only memory can tell it. What is not
	// among them could be decided again from the spec alone, and may become durable after Rows are published.
	Changing map[Key]bool
	// Faults and AnnotationFaults to hand to the next Decide.
	Faults           map[Key]string
	AnnotationFaults map[Key][]string
	// Refuted are the failures that hosts report and that say nothing against the model, since it was loaded on another host
	// beside them: when that copy goes, the next request loads it again. To hand to the next Decide.
	Refuted map[FailedCopy]bool
	// InferenceServices and Predictors hold the new status of each object whose status differs from the one in Input.
	InferenceServices map[Key]v1beta1.InferenceServiceStatus
	Predictors        map[Key]v1alpha1.PredictorStatus
	// Runtimes that should run, sorted by namespace and name. A faulty one is not among them, and the pods that it has are to
	// stay as they are: Rows go on placing models on its hosts.
	Runtimes []*adminv1.RuntimePlan
	// Waited are the runtimes that requests wait for, sorted by namespace and name. Their Kind is empty: requests wait for a
	// name.
	Waited []Key
	// Events to record, in order.
	Events []Event
	// Contradictions of Input.Status, in order.
	Contradictions []Contradiction
	// Memo to hand to the next Decide.
	Memo *Memo
}

// FailedCopy is one attempt to load a model that failed.
type FailedCopy struct {
	Namespace, ModelID, HostID string
	// TimeMs is when, by the host's clock, in Unix milliseconds; another attempt of the host is of another time.
	TimeMs int64
}

// Event is a Kubernetes Event about one object.
type Event struct {
	Object Key
	// Type is "Normal" or "Warning".
	Type    string
	Reason  string
	Message string
}

//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

const (
	// policyModelBytes of each model but the steady one, and policyHostBytes of each host: three models fit, and the
	// steady one.
	policyModelBytes  = 30 << 20
	policySteadyBytes = 1 << 20
	// policySteady is asked all the time: the requests that must not fail.
	policySteady = "steady"
	// policyArtifact is the one file of all models here.
	policyArtifact = "model.json"
)

// JSONPaths of an InferenceService: its condition, and what became of its model.
const (
	isReady = `.status.conditions[?(@.type=="Ready")].status`
	stateOf = ".status.modelStatus.states.activeModelState"
)

// policyMesh is a namespace with hosts of the fake runtime, and the operator who swaps policies under it.
type policyMesh struct {
	*user
	operator *user
	// run sets the objects in the shared namespace apart from those of other runs, whose Events are still there.
	run     string
	clients []inference.GRPCInferenceServiceClient
}

// newPolicyMesh brings up so many hosts, each with room for so many bytes, and the steady model.
func newPolicyMesh(t *testing.T, namespace string, hosts int, hostBytes int64) *policyMesh {
	t.Helper()
	p := &policyMesh{user: newUser(t, namespace), operator: &user{t, releaseNamespace}, run: fmt.Sprint(time.Now().Unix())}
	p.put(map[string]string{policyArtifact: `{"load_ms": 20}`})
	p.apply(policyRuntime(hosts, hostBytes))
	p.addModel(policySteady, policySteadyBytes)
	p.untilField("deployment/modelmesh-serving-fake-1.x", ".status.readyReplicas", fmt.Sprint(hosts))
	for ip := range strings.FieldsSeq(p.kubectl("get", "pods", "-l", "modelmesh-service=modelmesh-serving", "-o", "jsonpath={.items[*].status.podIP}")) {
		p.clients = append(p.clients, policyClient(t, net.JoinHostPort(ip, "8033")))
	}
	if len(p.clients) != hosts {
		t.Fatalf("%d hosts, want %d", len(p.clients), hosts)
	}
	return p
}

// policyRuntime answers with the name of its pod.
func policyRuntime(hosts int, hostBytes int64) string {
	const buffer = 1 << 20
	return fmt.Sprintf(`
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: fake-1.x
spec:
  replicas: %d
  multiModel: true
  supportedModelFormats:
    - {name: fake, version: "1", autoSelect: true}
  grpcEndpoint: "port:8085"
  grpcDataEndpoint: "port:8001"
  containers:
    - name: fake
      image: docker.io/local/fake-runtime:dev
      imagePullPolicy: Never
      env:
        - {name: FAKE_PORT, value: "8001"}
        - {name: FAKE_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      resources:
        requests: {cpu: 10m, memory: "%d"}
        limits: {cpu: "1", memory: "%d"}
  builtInAdapter:
    serverType: fake
    runtimeManagementPort: 8001
    memBufferBytes: %d
    modelLoadingTimeoutMillis: 60000
`, hosts, hostBytes+buffer, hostBytes+buffer, buffer)
}

// addModel applies an InferenceService that declares its size, and waits until it is Ready: loaded, or to be loaded by the
// first request.
func (p *policyMesh) addModel(name string, bytes int64) {
	p.t.Helper()
	p.apply(fmt.Sprintf(`
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: %s
  annotations:
    serving.kserve.io/deploymentMode: ModelMesh
    serving.kserve.io/secretKey: localMinIO
    wasmesh.dev/model-size: "%d"
spec:
  predictor:
    model:
      modelFormat: {name: fake}
      storageUri: s3://modelmesh-example-models/%s/%s
`, name, bytes, p.namespace, policyArtifact))
	p.untilField("isvc/"+name, isReady, "True")
}

// policyClient has a connection of its own to one host.
func policyClient(t *testing.T, address string) inference.GRPCInferenceServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return theCluster.Dial(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return inference.NewGRPCInferenceServiceClient(conn)
}

// askModel asks once, and answers the pod that has the copy.
func askModel(ctx context.Context, client inference.GRPCInferenceServiceClient, name string) (pod string, err error) {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "mm-vmodel-id", name), 30*time.Second)
	defer cancel()
	response, err := client.ModelInfer(ctx, &inference.ModelInferRequest{
		ModelName:        name,
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "UINT8", Shape: []int64{8}}},
		RawInputContents: [][]byte{make([]byte, 8)},
	})
	if err != nil {
		return "", err
	}
	return response.GetParameters()["server"].GetStringParam(), nil
}

// where answers the pod that has the model.
func (p *policyMesh) where(name string) string {
	p.t.Helper()
	pod, err := askModel(p.t.Context(), p.clients[0], name)
	if err != nil {
		p.t.Fatalf("ask %s: %v", name, err)
	}
	return pod
}

// policyFlow is requests for the steady model, through every host, until it is stopped.
type policyFlow struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	sent    atomic.Int64
	failed  atomic.Int64
	first   atomic.Pointer[error]
}

func (p *policyMesh) startFlow() *policyFlow {
	f := &policyFlow{}
	ctx, cancel := context.WithCancel(p.t.Context())
	f.stop = cancel
	for _, client := range p.clients {
		f.running.Go(func() {
			next := time.NewTicker(10 * time.Millisecond)
			defer next.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-next.C:
				}
				f.sent.Add(1)
				// A request that was sent is waited for: its end is not the test's.
				if _, err := askModel(context.WithoutCancel(ctx), client, policySteady); err != nil {
					f.failed.Add(1)
					f.first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	p.t.Cleanup(func() { cancel(); f.running.Wait() })
	return f
}

// end stops the requests; none may have failed.
func (f *policyFlow) end(t *testing.T) {
	t.Helper()
	f.stop()
	f.running.Wait()
	t.Logf("%d requests, %d failed", f.sent.Load(), f.failed.Load())
	if f.failed.Load() > 0 || f.sent.Load() == 0 {
		t.Errorf("%d of %d requests failed", f.failed.Load(), f.sent.Load())
	}
	if err := f.first.Load(); err != nil {
		t.Errorf("the first: %v", *err)
	}
}

// policyFile wraps a module in its ConfigMap, in a file as `wasmesh policy apply -o` writes it. Its name begins as said.
func (p *policyMesh) policyFile(name, module string) (configMap, file string) {
	p.t.Helper()
	configMap, file = name+"-"+p.run, filepath.Join(p.t.TempDir(), name+".yaml")
	p.wasmesh("policy", "apply", module, "--name", configMap, "--namespace", releaseNamespace, "--output", file)
	return configMap, file
}

// wasmesh runs the CLI, which must succeed.
func (p *policyMesh) wasmesh(args ...string) {
	p.t.Helper()
	if out, err := theCluster.Output(p.t.Context(), nil, "kubectl-wasmesh", args...); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

// activate is `kubectl apply -f FILE`, perhaps with --server-side. The ConfigMap goes with the test at the latest.
func (p *policyMesh) activate(configMap, file string, flags ...string) {
	p.t.Helper()
	p.t.Cleanup(func() {
		// The test's context has ended.
		if out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "configmap", configMap, "--namespace", releaseNamespace, "--ignore-not-found"); err != nil {
			p.t.Errorf("%v\n%s", err, out)
		}
	})
	p.operator.kubectl(append([]string{"apply", "-f", file}, flags...)...)
}

// deactivate deletes the ConfigMap, and waits until the mesh has taken note.
func (p *policyMesh) deactivate(configMap string) {
	p.t.Helper()
	p.operator.kubectl("delete", "configmap", configMap)
	p.untilEvent(configMap, "PolicyRemoved", "the policy is gone")
}

// untilEvent waits for an Event about a ConfigMap whose message has the text.
func (p *policyMesh) untilEvent(configMap, reason, text string) {
	p.t.Helper()
	p.untilAnyEvent(configMap, reason, func(message string) bool { return strings.Contains(message, text) })
}

// untilAnyEvent waits for an Event about a ConfigMap that says the right thing.
func (p *policyMesh) untilAnyEvent(configMap, reason string, right func(message string) bool) {
	p.t.Helper()
	messages := ""
	if !p.eventually(fmt.Sprintf("Event %s of %s", reason, configMap), func() bool {
		messages = p.operator.kubectl("get", "events", "--field-selector", "involvedObject.kind=ConfigMap,involvedObject.name="+configMap,
			"-o", `jsonpath={range .items[*]}{.reason}{"\t"}{.message}{"\n"}{end}`)
		for line := range strings.Lines(messages) {
			if message, is := strings.CutPrefix(line, reason+"\t"); is && right(message) {
				return true
			}
		}
		return false
	}) {
		p.t.Fatalf("Events of %s:\n%s", configMap, messages)
	}
}

// policyStatus is the annotation by which the mesh says what became of a ConfigMap.
func (p *policyMesh) policyStatus(configMap string) string {
	p.t.Helper()
	return p.operator.field("configmap/"+configMap, `.metadata.annotations.wasmesh\.dev/policy-status`)
}

// untilProgrammed waits until annotation and Event say that a policy decides on all hosts: those of every mesh, of which
// other namespaces may have some.
func (p *policyMesh) untilProgrammed(configMap, hook string) {
	p.t.Helper()
	status := ""
	if !p.eventually(configMap+" is programmed on all hosts", func() bool {
		status = p.policyStatus(configMap)
		return p.onAllHosts(status, hook)
	}) {
		p.t.Fatalf("%s: %s", configMap, status)
	}
	p.untilAnyEvent(configMap, "PolicyProgrammed", func(message string) bool { return p.onAllHosts(message, hook) })
	p.t.Logf("%s: %s", configMap, status)
}

// onAllHosts is whether a text begins as "place: programmed 2/2" does.
func (p *policyMesh) onAllHosts(text, hook string) bool {
	var on, of int
	n, err := fmt.Sscanf(text, hook+": programmed %d/%d", &on, &of)
	return n == 2 && err == nil && on == of && on >= len(p.clients)
}

// shippedPolicy is a module of bin/policies.
func shippedPolicy(name string) string {
	return filepath.Join(theCluster.Root, "bin/policies", name+".wasm")
}

// writeTemporary is a file of the test.
func writeTemporary(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

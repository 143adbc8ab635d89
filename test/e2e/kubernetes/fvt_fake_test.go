//go:build cluster

package kubernetes

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// fakeRuntimeForm is a ServingRuntime of the fake server for a format of its own. Through builtInAdapter it is started as a server that
// the host knows; without, as somebody's runtime that speaks mmesh.ModelRuntime.
const fakeRuntimeForm = `
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: %[1]s
  annotations: %[3]s
spec:
  supportedModelFormats: [{name: %[1]s, version: "1", autoSelect: true}]
  protocolVersions: [grpc-v2]
  multiModel: true
  grpcEndpoint: "port:%[2]s"
  grpcDataEndpoint: "port:8001"
  containers:
    - name: fake
      image: docker.io/local/fake-runtime:dev
      imagePullPolicy: Never
      env: [{name: FAKE_PORT, value: "8001"}, {name: FAKE_LOAD_DELAY, value: 500ms}]
      resources: {requests: {cpu: 10m, memory: %[4]s}, limits: {cpu: "1", memory: %[4]s}}
`

const builtInFake = `  replicas: 1
  builtInAdapter: {serverType: fake, runtimeManagementPort: 8001, memBufferBytes: 16777216, modelLoadingTimeoutMillis: 30000}
`

const scaledFake = `  builtInAdapter: {serverType: fake, runtimeManagementPort: 8001, memBufferBytes: 16777216, modelLoadingTimeoutMillis: 30000}
`

// fakeRuntime is one pod of the fake server for models of the format that has the runtime's name.
func fakeRuntime(name string) string {
	return fmt.Sprintf(fakeRuntimeForm, name, "8085", "{}", "144Mi") + builtInFake
}

// customRuntime is the same as a runtime that speaks mmesh.ModelRuntime itself.
func customRuntime(name string) string {
	return fmt.Sprintf(fakeRuntimeForm, name, "8001", "{}", "400Mi") + "  replicas: 1\n"
}

// scaledRuntime leaves the number of pods to the annotations, or to the settings.
func scaledRuntime(name, annotations string) string {
	return fmt.Sprintf(fakeRuntimeForm, name, "8085", annotations, "144Mi") + scaledFake
}

// put writes objects into the sample bucket of the quickstart's store, below the namespace's name.
func (u *user) put(artifacts map[string]string) {
	u.t.Helper()
	admin := &user{u.t, releaseNamespace}
	secret, err := base64.StdEncoding.DecodeString(admin.field("secret/storage-config", ".data.localMinIO"))
	if err != nil {
		u.t.Fatal(err)
	}
	var account struct {
		Key    string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
		Bucket string `json:"default_bucket"`
		Region string `json:"region"`
	}
	if err := json.Unmarshal(secret, &account); err != nil {
		u.t.Fatal(err)
	}
	address := net.JoinHostPort(admin.field("service/wasmesh-quickstart-s3", ".spec.clusterIP"), "9000")
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: account.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(account.Key, account.Secret, ""),
		HTTPClient:  inNode(),
	})
	for name, content := range artifacts {
		if _, err := client.PutObject(u.t.Context(), &s3.PutObjectInput{
			Bucket: &account.Bucket, Key: aws.String(u.namespace + "/" + name), Body: strings.NewReader(content),
		}); err != nil {
			u.t.Fatalf("put %s: %v", name, err)
		}
	}
}

// inNode is a client in the node's network, which reaches pods.
func inNode() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return theCluster.Dial(ctx, network, address)
		},
	}}
}

// served asks a model for inference over REST at the first pod of the mesh, and answers the model's id.
func (u *user) served(name string) string {
	u.t.Helper()
	address := u.firstPod()
	request := `{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [8]}]}`
	response, err := inNode().Post("http://"+net.JoinHostPort(address, "8008")+"/v2/models/"+name+"/infer", "application/json", bytes.NewBufferString(request))
	if err != nil {
		u.t.Errorf("ask %s: %v", name, err)
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	var answer struct {
		Model   string `json:"model_name"`
		Outputs []struct{ Data []int }
	}
	if err := json.Unmarshal(body, &answer); err != nil || response.StatusCode != http.StatusOK || len(answer.Outputs) != 1 ||
		len(answer.Outputs[0].Data) != 1 || answer.Outputs[0].Data[0] != 8 || !strings.HasPrefix(answer.Model, name+"__") {
		u.t.Errorf("ask %s: %s %s", name, response.Status, body)
	}
	return answer.Model
}

// predictor is a Predictor; spec is YAML in one line.
func predictor(name, spec string) string {
	return fmt.Sprintf("{apiVersion: serving.kserve.io/v1alpha1, kind: Predictor, metadata: {name: %s}, spec: %s}\n", name, spec)
}

// gone is whether no pod of the mesh knows a model by that name.
func (u *user) gone(name string) bool {
	u.t.Helper()
	address := u.firstPod()
	response, err := inNode().Get("http://" + net.JoinHostPort(address, "8008") + "/v2/models/" + name)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusNotFound
}

// firstPod is the address of a pod that is ready; one whose model is loaded may yet have to become so.
func (u *user) firstPod() (address string) {
	u.t.Helper()
	if !u.eventually("a pod is ready", func() bool {
		address, _, _ = strings.Cut(u.kubectl("get", "endpointslices", "--selector", "kubernetes.io/service-name=modelmesh-serving",
			"-o", "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}"), " ")
		return address != ""
	}) {
		u.t.FailNow()
	}
	return address
}

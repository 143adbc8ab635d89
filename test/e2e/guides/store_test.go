//go:build cluster

package guides

import (
	"context"
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

// The store is the user's: it is there before the release and stays after it. Names and keys are those of ModelMesh's
// quickstart.
const (
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	bucket    = "modelmesh-example-models"
	region    = "us-south"
	storeForm = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: minio}
spec:
  selector: {matchLabels: {app: minio}}
  template:
    metadata: {labels: {app: minio}}
    spec:
      enableServiceLinks: false
      containers:
        - name: s3
          image: docker.io/local/s3:dev
          imagePullPolicy: Never
          env:
            - {name: ROOT_ACCESS_KEY_ID, value: %[1]q}
            - {name: ROOT_SECRET_ACCESS_KEY, value: %[2]q}
            - {name: VGW_REGION, value: %[3]q}
          readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
          volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: minio}
spec: {selector: {app: minio}, ports: [{port: 9000}]}
---
apiVersion: v1
kind: Secret
metadata: {name: storage-config}
stringData:
  localMinIO: '{"type": "s3", "access_key_id": %[1]q, "secret_access_key": %[2]q, "endpoint_url": "http://minio:9000", "default_bucket": %[4]q, "region": %[3]q}'
`
)

// The server of the runtimes here reads any model as JSON and answers what it is asked.
const (
	modelPath = "sklearn/mnist-svm.joblib"
	modelJSON = `{"load_ms": 20, "size_bytes": 65536}`
)

// store sets up the store with one model, and its entry in storage-config.
func (o *owner) store() {
	o.t.Helper()
	o.pipe(fmt.Sprintf(storeForm, accessKey, secretKey, region, bucket), "create")
	o.kubectl("rollout", "status", "deployment/minio", "--timeout=2m")
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + net.JoinHostPort(o.field("service/minio", ".spec.clusterIP"), "9000")), Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""), HTTPClient: inNode(),
	})
	eventually(o.t, func() error { // The Service's address follows the pod.
		_, err := client.PutObject(o.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(modelPath), Body: strings.NewReader(modelJSON)})
		return err
	})
}

// inNode is a client in the node's network, which reaches pods.
func inNode() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return theCluster.Dial(ctx, network, address)
		},
	}}
}

// answers asks each ready host of the mesh for inference over REST, and wants 8 from the model of the id.
func (o *owner) answers(name, model string) {
	o.t.Helper()
	hosts := strings.Fields(o.kubectl("get", "endpointslices", "--selector", "kubernetes.io/service-name=modelmesh-serving",
		"-o", "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}"))
	if len(hosts) == 0 {
		o.t.Errorf("nobody is behind the Service")
	}
	for _, host := range hosts {
		if err := ask(net.JoinHostPort(host, "8008"), name, model); err != nil {
			o.t.Errorf("ask %s for %s: %v", host, name, err)
		}
	}
}

func ask(address, name, model string) error {
	request := `{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [8]}]}`
	response, err := inNode().Post("http://"+address+"/v2/models/"+name+"/infer", "application/json", strings.NewReader(request))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Model   string `json:"model_name"`
		Outputs []struct{ Data []int }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Model != model || len(answer.Outputs) != 1 ||
		len(answer.Outputs[0].Data) != 1 || answer.Outputs[0].Data[0] != 8 {
		return fmt.Errorf("%s %s, want 8 of %s", response.Status, body, model)
	}
	return nil
}

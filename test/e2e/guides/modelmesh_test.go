//go:build cluster

package guides

import (
	"context"
	"fmt"
	"strings"
)

// What ModelMesh has in its namespace, as its manifests and its controller make it: settings, its controller, its webhook,
// which needs the controller, runtimes whose server speaks mmesh.ModelRuntime, and their pods. Where nothing is asked of a
// program, the image is that of one which waits to be ended.
const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: model-serving-config}
data:
  config.yaml: |
    podsPerRuntime: 1
    restProxy: {enabled: true}
    scaleToZero: {enabled: true, gracePeriodSeconds: 60}
    metrics: {enabled: true, scheme: https}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: modelmesh-controller, labels: {control-plane: modelmesh-controller}}
spec:
  replicas: 1
  selector: {matchLabels: {control-plane: modelmesh-controller}}
  template:
    metadata: {labels: {control-plane: modelmesh-controller}}
    spec: {containers: [{name: manager, image: "docker.io/local/pause:dev", imagePullPolicy: Never}]}
`

const webhookForm = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: modelmesh-servingruntime.serving.kserve.io}
webhooks:
  - name: servingruntime.modelmesh-webhook-server.default
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {service: {name: modelmesh-webhook-server-service, namespace: %s, path: /validate-serving-modelmesh-io-v1alpha1-servingruntime}}
    rules: [{apiGroups: [serving.kserve.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE], resources: [servingruntimes, clusterservingruntimes]}]
`

// runtimeForm is a runtime of a kind and name for one format.
const runtimeForm = `
apiVersion: serving.kserve.io/v1alpha1
kind: %[1]s
metadata: {name: %[2]s}
spec:
  supportedModelFormats: [{name: %[3]s, version: "1", autoSelect: true}]
  protocolVersions: [grpc-v2]
  multiModel: true
  grpcEndpoint: "port:8001"
  grpcDataEndpoint: "port:8001"
  containers:
    - name: server
      image: docker.io/local/fake-runtime:dev
      imagePullPolicy: Never
      env: [{name: FAKE_PORT, value: "8001"}, {name: FAKE_CAPACITY_BYTES, value: "1073741824"}]
      resources: {requests: {cpu: 10m, memory: 400Mi}, limits: {cpu: "1", memory: 400Mi}}
`

// podsForm is the Deployment that ModelMesh's controller makes of such a runtime, whose owner it is.
const podsForm = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: modelmesh-serving-%[2]s
  labels: {modelmesh-service: modelmesh-serving, name: modelmesh-serving-%[2]s, app.kubernetes.io/instance: modelmesh-controller,
    app.kubernetes.io/managed-by: modelmesh-controller, app.kubernetes.io/name: modelmesh-controller}
  ownerReferences: [{apiVersion: serving.kserve.io/v1alpha1, kind: %[1]s, name: %[2]s, uid: %[3]s, controller: true, blockOwnerDeletion: true}]
spec:
  replicas: 1
  selector: {matchLabels: {modelmesh-service: modelmesh-serving, name: modelmesh-serving-%[2]s}}
  strategy: {rollingUpdate: {maxSurge: 75%%, maxUnavailable: 15%%}}
  template:
    metadata:
      labels: {modelmesh-service: modelmesh-serving, name: modelmesh-serving-%[2]s, app.kubernetes.io/instance: modelmesh-controller,
        app.kubernetes.io/managed-by: modelmesh-controller, app.kubernetes.io/name: modelmesh-controller}
      annotations: {prometheus.io/path: /metrics, prometheus.io/port: "2112", prometheus.io/scheme: https, prometheus.io/scrape: "true"}
    spec:
      terminationGracePeriodSeconds: 90
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
        {matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64, arm64, s390x]}]}]}}}
      containers:
        - {name: rest-proxy, image: "docker.io/local/pause:dev", imagePullPolicy: Never, ports: [{name: http, containerPort: 8008}],
            resources: {requests: {cpu: 50m, memory: 96Mi}, limits: {cpu: "1", memory: 512Mi}}}
        - {name: server, image: "docker.io/local/fake-runtime:dev", imagePullPolicy: Never, env: [{name: FAKE_PORT, value: "8001"}],
            resources: {requests: {cpu: 10m, memory: 400Mi}, limits: {cpu: "1", memory: 400Mi}},
            securityContext: {capabilities: {drop: [ALL]}}, volumeMounts: [{name: models-dir, mountPath: /models}]}
        - {name: mm, image: "docker.io/local/pause:dev", imagePullPolicy: Never,
            ports: [{name: grpc, containerPort: 8033}, {name: prometheus, containerPort: 2112}],
            env: [{name: MM_SERVICE_NAME, value: modelmesh-serving}, {name: "KV_STORE", value: "etcd:/opt/kserve/mmesh/etcd/etcd_connection"}],
            resources: {requests: {cpu: 300m, memory: 448Mi}, limits: {cpu: "3", memory: 448Mi}}}
        - {name: puller, image: "docker.io/local/pause:dev", imagePullPolicy: Never, env: [{name: ROOT_MODEL_DIR, value: /models}],
            resources: {requests: {cpu: 50m, memory: 96Mi}, limits: {cpu: "2", memory: 512Mi}},
            volumeMounts: [{name: models-dir, mountPath: /models}, {name: storage-config, mountPath: /storage-config, readOnly: true}]}
      volumes:
        - {name: models-dir, emptyDir: {sizeLimit: 600Mi}}
        - {name: storage-config, secret: {secretName: storage-config}}
`

const serviceForm = `
apiVersion: v1
kind: Service
metadata:
  name: modelmesh-serving
  labels: {modelmesh-service: modelmesh-serving, app.kubernetes.io/instance: modelmesh-controller,
    app.kubernetes.io/managed-by: modelmesh-controller, app.kubernetes.io/name: modelmesh-controller}
  ownerReferences: [{apiVersion: v1, kind: Namespace, name: %[1]s, uid: %[2]s, controller: true, blockOwnerDeletion: true}]
spec:
  clusterIP: None
  selector: {modelmesh-service: modelmesh-serving}
  ports: [{name: grpc, port: 8033, targetPort: grpc}, {name: http, port: 8008, targetPort: http}, {name: prometheus, port: 2112, targetPort: prometheus}]
`

// runtimes of ModelMesh's installation: one that comes with it, and one of the user's. Each has a Deployment.
var runtimes = []struct{ kind, name, format string }{
	{"ClusterServingRuntime", "mlserver-1.x", "sklearn"},
	{"ServingRuntime", "custom-1.x", "custom"},
}

// modelMesh sets ModelMesh up, with the definitions made by hand, as its manifests are applied.
func (o *owner) modelMesh() {
	o.t.Helper()
	define(o.t)
	o.pipe(settings, "create")
	// Its controller writes by updates, under this name.
	const manager = "--field-manager=manager"
	for _, r := range runtimes {
		o.pipe(fmt.Sprintf(runtimeForm, r.kind, r.name, r.format), "create")
		o.pipe(fmt.Sprintf(podsForm, r.kind, r.name, o.field(strings.ToLower(r.kind)+"/"+r.name, ".metadata.uid")), "create", manager)
	}
	o.pipe(fmt.Sprintf(serviceForm, o.namespace, o.field("namespace/"+o.namespace, ".metadata.uid")), "create", manager)
	o.pipe(fmt.Sprintf(webhookForm, o.namespace), "create")
	o.t.Cleanup(func() { // The test's context has ended. Left there, it would refuse everybody's runtimes.
		out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "validatingwebhookconfiguration", "modelmesh-servingruntime.serving.kserve.io", "--ignore-not-found")
		if err != nil {
			o.t.Errorf("%v\n%s", err, out)
		}
	})
	for _, d := range []string{"modelmesh-controller", "modelmesh-serving-mlserver-1.x", "modelmesh-serving-custom-1.x"} {
		o.kubectl("rollout", "status", "deployment/"+d, "--timeout=2m")
	}
}

package rig

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writeObjects writes what an operator would apply, and the artifacts that it speaks of.
func (m *Mesh) writeObjects() error {
	for _, dir := range []string{m.sources(), m.artifacts()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	secret, err := json.Marshal(map[string]string{"type": "file", "directory": m.artifacts()})
	if err != nil {
		return err
	}
	objects := []string{fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: storage-config}
stringData:
  local: '%s'
`, secret), m.servingRuntime()}
	for _, model := range m.config.Models {
		object, err := m.service(model)
		if err != nil {
			return err
		}
		objects = append(objects, object)
	}
	return os.WriteFile(filepath.Join(m.sources(), "objects.yaml"), []byte(strings.Join(objects, "---\n")), 0o644)
}

func (m *Mesh) artifacts() string { return filepath.Join(m.config.Dir, "artifacts") }

func (m *Mesh) servingRuntime() string {
	const buffer = 1 << 20
	return fmt.Sprintf(`apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: %s
  annotations: {maxLoadingConcurrency: "%d"}
spec:
  supportedModelFormats: [{name: fake, version: "1", autoSelect: true}]
  multiModel: true
  grpcEndpoint: "port:8085"
  grpcDataEndpoint: "port:8001"
  containers:
    - name: fake
      image: wasmesh/fake-runtime
      resources: {requests: {cpu: 100m, memory: "%d"}}
  builtInAdapter: {serverType: fake, runtimeManagementPort: 8001, memBufferBytes: %d, modelLoadingTimeoutMillis: 60000}
`, ServingRuntime, m.config.LoadsAtOnce, m.config.CapacityBytes+buffer, buffer)
}

// service writes the artifact and answers the InferenceService.
func (m *Mesh) service(model Model) (string, error) {
	file := model.Name + ".json"
	if err := model.Artifact.WriteFile(filepath.Join(m.artifacts(), file)); err != nil {
		return "", err
	}
	annotations := []string{`serving.kserve.io/deploymentMode: ModelMesh`}
	if model.Artifact.SizeBytes > 0 {
		annotations = append(annotations, fmt.Sprintf("wasmesh.dev/model-size: %q", fmt.Sprint(model.Artifact.SizeBytes)))
	}
	for key, value := range model.Annotations {
		annotations = append(annotations, fmt.Sprintf("%s: %q", key, value))
	}
	slices.Sort(annotations)
	return fmt.Sprintf(`apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: %s
  annotations:
    %s
spec:
  predictor:
    model:
      modelFormat: {name: fake}
      storage: {key: local, path: %s}
`, model.Name, strings.Join(annotations, "\n    "), file), nil
}

//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

// settingsLock is held while a key of model-serving-config changes: tests that run at once each have theirs.
var settingsLock sync.Mutex

// setting gives a key of model-serving-config a value until the test ends.
func setting(t *testing.T, key string, value any) {
	t.Helper()
	if err := changeSetting(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's context has ended.
		if err := changeSetting(context.Background(), key, nil); err != nil {
			t.Error(err)
		}
	})
}

// changeSetting removes the key if there is no value.
func changeSetting(ctx context.Context, key string, value any) error {
	settingsLock.Lock()
	defer settingsLock.Unlock()
	kubectl := func(stdin string, args ...string) (string, error) {
		return theCluster.Output(ctx, strings.NewReader(stdin), "kubectl", append([]string{"--namespace", releaseNamespace}, args...)...)
	}
	said, err := kubectl("", "get", "configmap", "model-serving-config", "--ignore-not-found", "-o", `jsonpath={.data.config\.yaml}`)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal([]byte(said), &settings); err != nil {
		return fmt.Errorf("read model-serving-config: %w", err)
	}
	if settings[key] = value; value == nil {
		delete(settings, key)
	}
	if len(settings) == 0 {
		// As the chart leaves it.
		if said, err = kubectl("", "delete", "configmap", "model-serving-config", "--ignore-not-found"); err != nil {
			return fmt.Errorf("%w\n%s", err, said)
		}
		return nil
	}
	content, err := yaml.Marshal(settings)
	if err != nil {
		return fmt.Errorf("write model-serving-config: %w", err)
	}
	object, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "model-serving-config"},
		"data": map[string]string{"config.yaml": string(content)},
	})
	if err != nil {
		return fmt.Errorf("write model-serving-config: %w", err)
	}
	if said, err = kubectl(string(object), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

package lint

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/config"
)

// settingsName is the ConfigMap of a mesh's settings, and defaultsName that of ModelMesh's installation.
const (
	settingsName = "model-serving-config"
	defaultsName = "model-serving-config-defaults"
)

// configMap checks the settings.
func (l *linter) configMap(o *object) {
	if o.name == defaultsName {
		l.found(o, Warning, nil, "the defaults of ModelMesh's installation are not read: put what you changed in them into the ConfigMap %s", settingsName)
		return
	}
	if o.name != settingsName {
		return
	}
	var cm corev1.ConfigMap
	if err := o.decode(&cm); err != nil {
		l.found(o, Error, nil, "the API server will refuse it: %v", err)
		return
	}
	text, found := cm.Data[config.Key]
	if !found {
		l.found(o, Warning, []string{"data"}, "it has no key %s, and so says nothing", config.Key)
		return
	}
	settings, warnings, err := config.Parse(nil, []byte(text))
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			l.found(o, Error, []string{"data", config.Key}, "the settings would be refused as a whole: %s", strings.TrimSpace(line))
		}
		return
	}
	l.settings = settings
	for _, w := range warnings {
		l.found(o, Warning, []string{"data", config.Key}, "%v", w)
		l.findings[len(l.findings)-1].Line += lineWithin(text, w.Key)
	}
	defaults := config.Default()
	for _, secret := range []struct{ key, named, known string }{
		{"storageSecretName", settings.StorageSecretName, defaults.StorageSecretName},
		{"tls.secretName", settings.TLS.SecretName, defaults.TLS.SecretName},
	} {
		if secret.named != secret.known {
			l.found(o, Warning, []string{"data", config.Key},
				"%s: the controller may read the Secrets that the chart names: install with --set 'rbac.secretNames={%s}'", secret.key, secret.named)
			l.findings[len(l.findings)-1].Line += lineWithin(text, secret.key)
		}
	}
}

// lineWithin is how many lines after its key a literal text has the last part of a dotted key; 0 when that is not found.
func lineWithin(text, key string) int {
	last := strings.ToLower(key[strings.LastIndexByte(key, '.')+1:])
	at := 0
	for line := range strings.Lines(text) {
		at++
		name, _, isKey := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
		if isKey && strings.Trim(name, `"'`) == last {
			return at
		}
	}
	return 0
}

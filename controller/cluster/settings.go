package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/reconcile"
)

// firstConfig reads what has to be known before anything is watched, and the user's YAML that is to be kept. A configuration
// that cannot be followed is told of by the source, which reads it again; until it can, the one stays that the controller
// followed before it was started anew. The defaults instead would rename what serves, or serve without TLS.
func firstConfig(ctx context.Context, live client.Client, c Config) (config.Config, string, error) {
	user, err := readConfigMap(ctx, live, client.ObjectKey{Namespace: c.Namespace, Name: c.ConfigMap})
	if err != nil {
		return config.Config{}, "", err
	}
	kept, err := readConfigMap(ctx, live, client.ObjectKey{Namespace: c.Namespace, Name: stateName})
	if err != nil {
		return config.Config{}, "", err
	}
	text := user[config.Key]
	settings, _, err := config.Parse(c.Defaults, []byte(text))
	if err != nil {
		text = kept[keyConfig]
		settings, _, err = config.Parse(c.Defaults, []byte(text))
	}
	if err != nil {
		settings, _, err = config.Parse(c.Defaults, nil)
	}
	if err != nil {
		c.Logger.Warn("the defaults of the configuration cannot be followed, those of the program are", "error", err)
		settings = config.Default()
	}
	settings, err = watchable(ctx, live, c, settings)
	return settings, text, err
}

// watchable answers the settings with a storage Secret that the controller may watch: RBAC lets it watch those that the
// chart was told of, and nothing starts before all that is watched was read.
func watchable(ctx context.Context, live client.Client, c Config, settings config.Config) (config.Config, error) {
	chart, _, err := config.Parse(c.Defaults, nil)
	if err != nil {
		chart = config.Default()
	}
	if settings.StorageSecretName == chart.StorageSecretName {
		return settings, nil
	}
	secrets := &metav1.PartialObjectMetadataList{}
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	options := []client.ListOption{client.MatchingFields{"metadata.name": settings.StorageSecretName}}
	if c.NamespaceScope {
		options = append(options, client.InNamespace(c.Namespace))
	}
	err = live.List(ctx, secrets, options...)
	switch {
	case apierrors.IsForbidden(err):
		c.Logger.Warn("storageSecretName is not followed: name the Secret in the chart's rbac.secretNames as well, and restart the controller",
			"storageSecretName", settings.StorageSecretName, "followed", chart.StorageSecretName, "error", err)
		settings.StorageSecretName = chart.StorageSecretName
	case err != nil:
		return settings, fmt.Errorf("list the Secrets named %s: %w", settings.StorageSecretName, err)
	}
	return settings, nil
}

// followConfig keeps the configuration that is followed, for the next start.
func (l *leader) followConfig(ctx context.Context, loop *reconcile.Loop) {
	kept, known := "", false
	s := &state{client: l.live, namespace: l.config.Namespace, logger: l.config.Logger}
	for {
		_, changed := loop.View()
		if text := l.source.ConfigText(); !known || text != kept {
			err := s.keepConfig(ctx, text)
			if kept, known = text, err == nil; err != nil && ctx.Err() == nil {
				l.config.Logger.Warn("the configuration is not kept for the next start", "error", err)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// keepConfig keeps the YAML of a configuration that can be followed.
func (s *state) keepConfig(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	kept, err := readConfigMap(ctx, s.client, client.ObjectKey{Namespace: s.namespace, Name: stateName})
	if err != nil || kept[keyConfig] == text {
		return err
	}
	data := map[string]any{keyConfig: text}
	if err := s.apply(ctx, stateName, map[string]any{"data": data}, nil, configManager); err != nil {
		return fmt.Errorf("keep the configuration: %w", err)
	}
	return nil
}

package kubernetes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/source"
)

// Reasons of Events about the configuration.
const (
	// EventInvalidConfig: the configuration cannot be followed, the last good one is.
	EventInvalidConfig = "InvalidConfig"
	// EventConfigAccepted: it is followed again.
	EventConfigAccepted = "ConfigAccepted"
	// EventConfigWarning: part of what is followed has no effect.
	EventConfigWarning = "ConfigWarning"
)

// configuration is the last good one, and what there is to say of its ConfigMap.
type configuration struct {
	config config.Config
	// text is what config was read from.
	text     string
	warnings []source.Warning
	// fault of the present ConfigMap; "" for none.
	fault string
}

// configHandler follows the one ConfigMap that holds the configuration.
type configHandler struct{ source *Source }

func (h configHandler) OnAdd(object any, _ bool) { h.read(object) }
func (h configHandler) OnUpdate(_, object any)   { h.read(object) }

// OnDelete returns to what the chart says.
func (h configHandler) OnDelete(object any) {
	if gone, missed := object.(toolscache.DeletedFinalStateUnknown); missed {
		object = gone.Obj
	}
	if cm, is := object.(*corev1.ConfigMap); is && h.concerns(cm) {
		h.source.configure(nil)
	}
}

func (h configHandler) read(object any) {
	if cm, is := object.(*corev1.ConfigMap); is && h.concerns(cm) {
		h.source.configure([]byte(cm.Data[config.Key]))
	}
}

func (h configHandler) concerns(cm *corev1.ConfigMap) bool {
	return client.ObjectKeyFromObject(cm) == client.ObjectKey{Namespace: h.source.options.Namespace, Name: h.source.options.ConfigMap}
}

// configure follows the YAML of the ConfigMap, or the defaults when there is none.
func (s *Source) configure(user []byte) {
	parsed, warnings, err := config.Parse(s.options.Defaults, user)
	s.mu.Lock()
	before := s.configuration
	next := configuration{config: before.config, text: before.text}
	file := "ConfigMap " + s.options.Namespace + "/" + s.options.ConfigMap
	if err != nil {
		next.fault = err.Error()
		next.warnings = []source.Warning{{File: file, Message: next.fault + "; the last good configuration stays in force"}}
	} else {
		next.config, next.text = parsed, string(user)
		if parsed.StorageSecretName != s.options.Config.StorageSecretName {
			next.config.StorageSecretName = s.options.Config.StorageSecretName
			warnings = append(slices.Clip(warnings), config.Warning{
				Key: "storageSecretName", Reason: "takes effect when the controller is restarted and may watch it: name it in the chart's rbac.secretNames as well",
			})
		}
	}
	for _, w := range warnings {
		next.warnings = append(next.warnings, source.Warning{File: file, Message: w.String()})
	}
	s.configuration = next
	s.touch()
	s.mu.Unlock()
	s.tell(before, next)
}

// tell says what has changed in the configuration, once.
func (s *Source) tell(before, after configuration) {
	record := func(kind, reason, message string) {
		if s.options.Recorder != nil {
			s.options.Recorder.Record(decide.Event{
				Object: decide.Key{Namespace: s.options.Namespace, Kind: policyconfig.KindConfigMap, Name: s.options.ConfigMap},
				Type:   kind, Reason: reason, Message: message,
			})
		}
	}
	for _, w := range after.warnings {
		if slices.Contains(before.warnings, w) {
			continue
		}
		s.options.Logger.Warn("configuration: "+w.Message, "configMap", s.options.ConfigMap)
		if after.fault == "" {
			record(corev1.EventTypeWarning, EventConfigWarning, w.Message)
		} else {
			record(corev1.EventTypeWarning, EventInvalidConfig, w.Message)
		}
	}
	if before.fault != "" && after.fault == "" {
		record(corev1.EventTypeNormal, EventConfigAccepted, "The configuration is followed again")
	}
}

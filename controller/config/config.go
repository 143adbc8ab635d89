// Package config (pure) owns the settings of a mesh in a cluster: the ConfigMap model-serving-config, with ModelMesh's
// keys and defaults.
//
// Its invariant: Parse either answers a Config that can be acted on whole, or an error that names each key and what it may
// be, and then the caller keeps the last good one. What ModelMesh accepted is accepted; what has no effect here any more
// is said in a Warning, never dropped in silence.
//
// The source of a cluster's objects parses it on every change of the ConfigMap; controller/resources and the reconcilers
// read it.
package config

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/controller/decide"
)

// Key is the key of the ConfigMap under which the YAML stands.
const Key = "config.yaml"

// Config is one mesh's settings. It is shared between readers and never changed.
type Config struct {
	// InferenceServiceName is the name of the Service, and what names of Deployments begin with.
	InferenceServiceName string
	// InferenceServicePort is where gRPC is served, by the Service and by each host.
	InferenceServicePort int32
	// HeadlessService gives clients the addresses of the pods instead of one of the Service.
	HeadlessService bool
	// PodsPerRuntime is how many pods a runtime has that does not say.
	PodsPerRuntime int32
	// StorageSecretName is the Secret of credentials, in each namespace.
	StorageSecretName string
	// ServiceAccountName is that of the pods; empty is the namespace's default.
	ServiceAccountName string
	TLS                TLS
	// EnableAccessLogging has each request logged.
	EnableAccessLogging bool
	// GRPCMaxMessageSizeBytes bounds one request message.
	GRPCMaxMessageSizeBytes int
	Metrics                 Metrics
	ScaleToZero             ScaleToZero
	RestProxy               RestProxy
	// ModelMeshResources are those of the host's container, which has the place of ModelMesh's.
	ModelMeshResources corev1.ResourceRequirements
	// RuntimePodLabels and RuntimePodAnnotations are added to the pods, unless the ServingRuntime says otherwise.
	RuntimePodLabels, RuntimePodAnnotations map[string]string
	// ImagePullSecrets are added to those of the ServingRuntime.
	ImagePullSecrets []corev1.LocalObjectReference
	// AllowAnyPVC lets models name claims that no entry of the storage Secret names.
	AllowAnyPVC bool
	// BuiltInServerTypes are the values of builtInAdapter.serverType that may be used.
	BuiltInServerTypes []string
	// InternalModelMeshEnvVars are added to the environment of the host.
	InternalModelMeshEnvVars []corev1.EnvVar
}

// TLS is how clients reach the mesh.
type TLS struct {
	// SecretName of a Secret with tls.crt, tls.key and perhaps ca.crt, in each namespace; empty: no TLS.
	SecretName string
	ClientAuth ClientAuth
}

// ClientAuth says whether clients have to have a certificate.
type ClientAuth string

// Values of ClientAuth; the zero value asks for none.
const (
	ClientAuthNone     ClientAuth = ""
	ClientAuthOptional ClientAuth = "optional"
	ClientAuthRequire  ClientAuth = "require"
)

// Metrics is where Prometheus finds them. They are served in plain HTTP.
type Metrics struct {
	Enabled bool
	Port    int32
	// DisablePrometheusOperatorSupport has no ServiceMonitor made.
	DisablePrometheusOperatorSupport bool
}

// ScaleToZero says when a runtime has no pods.
type ScaleToZero struct {
	// Enabled takes the pods of a runtime that no model needs, GracePeriod after the last one.
	Enabled     bool
	GracePeriod time.Duration
	// OnIdle takes them also when nobody has sent requests; a gateway then waits for the next.
	OnIdle bool
}

// RestProxy is REST inference, which the host serves itself.
type RestProxy struct {
	Enabled bool
	Port    int32
}

// Warning is a key that was read and does not do what its owner may expect.
type Warning struct {
	// Key as ModelMesh writes it, dotted: "restProxy.image". Unknown ones are as they were given, shortened.
	Key string
	// Reason says why, and what to do.
	Reason string
}

// String answers one sentence.
func (w Warning) String() string { return w.Key + ": " + w.Reason }

// Default is the Config of a ConfigMap without keys.
func Default() Config {
	return Config{
		InferenceServiceName:    "modelmesh-serving",
		InferenceServicePort:    8033,
		HeadlessService:         true,
		PodsPerRuntime:          2,
		StorageSecretName:       "storage-config",
		GRPCMaxMessageSizeBytes: 16 << 20,
		Metrics:                 Metrics{Enabled: true, Port: 2112},
		ScaleToZero:             ScaleToZero{Enabled: true, GracePeriod: 60 * time.Second},
		RestProxy:               RestProxy{Enabled: true, Port: 8008},
		ModelMeshResources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("100m"),
				corev1.ResourceMemory: resource.MustParse("128Mi"),
			},
			Limits: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("2"),
				corev1.ResourceMemory: resource.MustParse("512Mi"),
			},
		},
		// The last one is the programmable server that stands in for the others in tests and experiments.
		BuiltInServerTypes: []string{"triton", "mlserver", "ovms", "torchserve", "fake"},
	}
}

// Endpoints are the URLs that statuses tell clients. Without REST its default stands: statuses have no other value.
func (c Config) Endpoints() decide.Endpoints {
	e := decide.Endpoints{GRPC: fmt.Sprintf("grpc://%s.{namespace}:%d", c.InferenceServiceName, c.InferenceServicePort)}
	scheme := "http"
	if c.TLS.SecretName != "" {
		scheme = "https"
	}
	e.REST = fmt.Sprintf("%s://%s.{namespace}:%d", scheme, c.InferenceServiceName, c.RestProxy.Port)
	return e
}

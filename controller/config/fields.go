package config

import "time"

// Reasons of keys that are ModelMesh's and concern what is not there any more.
const (
	inertImage = "has no effect: the host's image comes with the controller, by its flag --host-image"
	inertREST  = "has no effect: REST is served by the host itself, there is no container for it"
	inertPull  = "has no effect: the host fetches models itself, there is no container for it"
)

// fields are the keys of the ConfigMap, in the order of ModelMesh's documentation.
func fields() []field {
	return []field{
		{key: "inferenceServiceName", read: text(func(c *Config) *string { return &c.InferenceServiceName }, serviceName)},
		{key: "inferenceServicePort", read: port(func(c *Config) *int32 { return &c.InferenceServicePort })},
		{key: "podsPerRuntime", read: number(func(c *Config) *int32 { return &c.PodsPerRuntime }, 0, 65535)},
		{key: "headlessService", read: boolean(func(c *Config) *bool { return &c.HeadlessService })},
		{key: "storageSecretName", read: text(func(c *Config) *string { return &c.StorageSecretName }, objectName)},
		{key: "serviceAccountName", read: text(func(c *Config) *string { return &c.ServiceAccountName }, optionalName)},
		{key: "tls", group: []field{
			{key: "secretName", read: text(func(c *Config) *string { return &c.TLS.SecretName }, optionalName)},
			{key: "clientAuth", read: text(func(c *Config) *ClientAuth { return &c.TLS.ClientAuth }, clientAuth)},
		}},
		{key: "enableAccessLogging", read: boolean(func(c *Config) *bool { return &c.EnableAccessLogging })},
		{key: "grpcMaxMessageSizeBytes", read: number(func(c *Config) *int { return &c.GRPCMaxMessageSizeBytes }, 1, 1<<31-1)},
		{key: "metrics", group: []field{
			{key: "enabled", read: boolean(func(c *Config) *bool { return &c.Metrics.Enabled })},
			{key: "port", read: port(func(c *Config) *int32 { return &c.Metrics.Port })},
			{key: "scheme", read: metricsScheme},
			{key: "disablePrometheusOperatorSupport", read: boolean(func(c *Config) *bool { return &c.Metrics.DisablePrometheusOperatorSupport })},
		}},
		{key: "scaleToZero", group: []field{
			{key: "enabled", read: boolean(func(c *Config) *bool { return &c.ScaleToZero.Enabled })},
			{key: "gracePeriodSeconds", read: seconds(func(c *Config) *time.Duration { return &c.ScaleToZero.GracePeriod })},
			{key: "onIdle", read: boolean(func(c *Config) *bool { return &c.ScaleToZero.OnIdle })},
		}},
		{key: "restProxy", group: []field{
			{key: "enabled", read: boolean(func(c *Config) *bool { return &c.RestProxy.Enabled })},
			{key: "port", read: port(func(c *Config) *int32 { return &c.RestProxy.Port })},
			{key: "skipVerify", inert: inertREST},
			{key: "image", inert: inertREST},
			{key: "resources", inert: inertREST},
		}},
		{key: "modelMeshImage", inert: inertImage},
		{key: "modelMeshResources", read: resources},
		{key: "storageHelperImage", inert: inertPull},
		{key: "storageHelperResources", inert: inertPull},
		{key: "runtimePodLabels", read: keyed(func(c *Config) *map[string]string { return &c.RuntimePodLabels }, labelValue)},
		{key: "runtimePodAnnotations", read: keyed(func(c *Config) *map[string]string { return &c.RuntimePodAnnotations }, nil)},
		{key: "imagePullSecrets", read: pullSecrets},
		{key: "allowAnyPVC", read: boolean(func(c *Config) *bool { return &c.AllowAnyPVC })},
		{key: "builtInServerTypes", read: serverTypes},
		{key: "payloadProcessors", inert: "has no effect: payloads are not handed to processors"},
		{key: "internalModelMeshEnvVars", read: environment},
		{key: "modelMeshEndpoint", inert: "has no effect: hosts connect to the controller, not the controller to them"},
		{key: "etcdSecretName", inert: "has no effect: there is no etcd; the Kubernetes objects are the registry"},
	}
}

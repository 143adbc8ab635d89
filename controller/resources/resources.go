// Package resources (pure) owns how the mesh looks as Kubernetes objects: from the settings of a mesh and a
// ServingRuntime it makes the Deployment of its pods, and the Services, autoscaler, disruption budget and monitor beside.
//
// Its invariant: equal arguments give equal objects, so that writing them again changes nothing, and no argument is
// changed. Names, labels, ports and selectors are ModelMesh's, so that Deployments and Services which it made are taken
// over in place, and manifests, dashboards and clients go on.
//
// A pod's spec says where its host finds keys, certificates and credentials, never what they are: hosts read them again
// when they change, so no rotation rolls pods.
//
// controller/servingruntime carries the objects out. Nothing here looks at what exists.
package resources

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// Mesh is what all objects of a namespace share.
type Mesh struct {
	Namespace string
	// ControllerAddress is the target that hosts dial for the sync service: "dns:///wasmesh-controller.<namespace>.svc:11884".
	ControllerAddress string
	// HostImage is the image of the host.
	HostImage string
	Config    config.Config
	// Claims are the PersistentVolumeClaims to mount, sorted, each of which exists: a pod with one that does not never
	// starts. See Claims.
	Claims []string
	// TLSSecret says what the Secret of Config.TLS holds; nil: it does not exist or cannot be used, of which TLSFault says
	// why as far as that is known. See TLSProblem.
	TLSSecret *TLSSecret
	TLSFault  error
	// Owner of what belongs to the namespace: the Namespace, or the controller's Deployment. Zero: nobody.
	Owner metav1.OwnerReference
}

// Runtime is one ServingRuntime or ClusterServingRuntime. Nothing of it is changed.
type Runtime struct {
	Name        string
	Spec        *v1alpha1.ServingRuntimeSpec
	Annotations map[string]string
	// Owner is the runtime itself.
	Owner metav1.OwnerReference
}

// resolved is the runtime as package resolve takes it.
func (r Runtime) resolved(namespace string) resolve.Runtime {
	return resolve.Runtime{Namespace: namespace, Name: r.Name, Annotations: r.Annotations, Spec: r.Spec}
}

// Names of objects that the controller makes in each namespace of a mesh.
const (
	// MeshKeySecret has the key of gossip under MeshKeyKey, 64 hexadecimal digits.
	MeshKeySecret = "wasmesh-mesh-key"
	MeshKeyKey    = "key"
	// CAConfigMap has the certificates by which hosts know the controller and each other, under CAKey.
	CAConfigMap = "wasmesh-ca"
	CAKey       = "ca.crt"
	// MonitorName is that of the ServiceMonitor.
	MonitorName = "modelmesh-metrics-monitor"
	// TokenAudience is for whom the tokens of hosts are made.
	TokenAudience = "wasmesh"
)

// gatewayRuntime stands for the gateway where names hold that of a runtime.
const gatewayRuntime = "gateway"

// DeploymentName is the name of the runtime's Deployment, and of its autoscaler and disruption budget.
func DeploymentName(m Mesh, runtime string) string {
	return m.Config.InferenceServiceName + "-" + runtime
}

// GatewayName is the name of the gateway's Deployment.
func GatewayName(m Mesh) string { return DeploymentName(m, gatewayRuntime) }

// PeersServiceName is the name of the Service by which hosts find each other.
func PeersServiceName(m Mesh) string { return m.Config.InferenceServiceName + "-peers" }

// LabelService is the label of everything that belongs to one mesh, by the name of its Service.
const LabelService = "modelmesh-service"

// labelName is the label that tells the pods of one Deployment from others.
const labelName = "name"

// labels are those of every object. Their values are ModelMesh's, by which users have selected pods for years.
func (m Mesh) labels() map[string]string {
	return map[string]string{
		LabelService:                   m.Config.InferenceServiceName,
		"app.kubernetes.io/instance":   "modelmesh-controller",
		"app.kubernetes.io/managed-by": "modelmesh-controller",
		"app.kubernetes.io/name":       "modelmesh-controller",
	}
}

// selector tells the pods of one Deployment from all others. It cannot be changed once the Deployment exists, and is what
// ModelMesh gave it.
func (m Mesh) selector(deployment string) map[string]string {
	return map[string]string{LabelService: m.Config.InferenceServiceName, labelName: deployment}
}

// object is the metadata of one.
func (m Mesh) object(name string, labels map[string]string, owner metav1.OwnerReference) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Namespace: m.Namespace, Name: name, Labels: labels}
	if owner.UID != "" {
		meta.OwnerReferences = []metav1.OwnerReference{owner}
	}
	return meta
}

// union of maps; a later one wins.
func union(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}

package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/controller/resolve"
)

// Volumes of a pod. The names of the first two are ModelMesh's; those with "mm-" no runtime may use.
const (
	volumeModels  = "models-dir"
	volumeSockets = "domain-socket"
	volumeState   = "mm-state"
	volumeToken   = "mm-token"
	volumeCA      = "mm-ca"
	volumeMeshKey = "mm-mesh-key"
	volumeTLS     = "mm-tls"
	prefixClaim   = "mm-pvc-"
)

// Where the host finds them.
const (
	pathState   = "/var/lib/wasmesh"
	pathToken   = "/var/run/secrets/wasmesh"
	tokenFile   = "token"
	pathCA      = "/etc/wasmesh/ca"
	pathMeshKey = "/etc/wasmesh/mesh"
	pathTLS     = "/opt/kserve/mmesh/tls"
)

// stateBytes bounds the state of a host: the catalog, which for 100,000 models takes some 40 MiB, modules of policies, and
// credentials. Because of those it is in memory, never on a node's disk.
const stateBytes = 128 << 20

// tokenSeconds is how long a host's token is good for; the kubelet makes a new one in time.
const tokenSeconds = 3600

// groupReadable is the mode of what only the host's group may read.
const groupReadable = 0o440

// volumes are those of the runtime and of the mesh.
func (p *pod) volumes() []corev1.Volume {
	var all []corev1.Volume
	if p.runtime != nil {
		for i := range p.runtime.Spec.Volumes {
			all = append(all, *p.runtime.Spec.Volumes[i].DeepCopy())
		}
		all = append(all, volume(volumeModels, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: p.models.Size}}))
		if p.sockets != "" {
			all = append(all, volume(volumeSockets, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}))
		}
		for _, claim := range p.mesh.Claims {
			// Read-only as a whole: otherwise the kubelet would give the owner's files to the host's group.
			source := corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim, ReadOnly: true}
			all = append(all, volume(claimVolume(claim), corev1.VolumeSource{PersistentVolumeClaim: &source}))
		}
	}
	return append(all, p.hostVolumes()...)
}

// hostVolumes are mounted by the host alone.
func (p *pod) hostVolumes() []corev1.Volume {
	all := []corev1.Volume{
		volume(volumeState, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium: corev1.StorageMediumMemory, SizeLimit: resource.NewQuantity(stateBytes, resource.BinarySI),
		}}),
		volume(volumeToken, corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr[int32](groupReadable),
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: TokenAudience, ExpirationSeconds: ptr[int64](tokenSeconds), Path: tokenFile,
			}}},
		}}),
		volume(volumeCA, corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: CAConfigMap}, DefaultMode: ptr[int32](groupReadable),
		}}),
		secretVolume(volumeMeshKey, MeshKeySecret),
	}
	if name := p.mesh.Config.TLS.SecretName; name != "" {
		all = append(all, secretVolume(volumeTLS, name))
	}
	return all
}

func volume(name string, source corev1.VolumeSource) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: source}
}

func secretVolume(name, secret string) corev1.Volume {
	return volume(name, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: ptr[int32](groupReadable)}})
}

// claimVolume is the name of a claim's volume: claims may have longer names than volumes.
func claimVolume(claim string) string {
	sum := sha256.Sum256([]byte(claim))
	return prefixClaim + hex.EncodeToString(sum[:5])
}

// runtimeMounts are those of every container of the runtime, that of the models first.
func (p *pod) runtimeMounts() []corev1.VolumeMount {
	return append([]corev1.VolumeMount{{Name: volumeModels, MountPath: resolve.ModelsPath, ReadOnly: !p.models.Writable}}, p.sharedMounts()...)
}

// sharedMounts are those that the host and every container of the runtime have alike.
func (p *pod) sharedMounts() (mounts []corev1.VolumeMount) {
	if p.sockets != "" {
		mounts = append(mounts, corev1.VolumeMount{Name: volumeSockets, MountPath: p.sockets})
	}
	for _, claim := range p.mesh.Claims {
		mounts = append(mounts, corev1.VolumeMount{Name: claimVolume(claim), MountPath: path.Join(resolve.ClaimsPath, claim), ReadOnly: true})
	}
	return mounts
}

func (p *pod) hostMounts() []corev1.VolumeMount {
	var mounts []corev1.VolumeMount
	if p.runtime != nil {
		mounts = append([]corev1.VolumeMount{{Name: volumeModels, MountPath: resolve.ModelsPath}}, p.sharedMounts()...)
	}
	mounts = append(mounts,
		corev1.VolumeMount{Name: volumeState, MountPath: pathState},
		corev1.VolumeMount{Name: volumeToken, MountPath: pathToken, ReadOnly: true},
		corev1.VolumeMount{Name: volumeCA, MountPath: pathCA, ReadOnly: true},
		corev1.VolumeMount{Name: volumeMeshKey, MountPath: pathMeshKey, ReadOnly: true})
	if p.mesh.Config.TLS.SecretName != "" {
		mounts = append(mounts, corev1.VolumeMount{Name: volumeTLS, MountPath: pathTLS, ReadOnly: true})
	}
	return mounts
}

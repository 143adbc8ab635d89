package servingruntime

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/resources"
)

// gatherer reads what the objects of a mesh are made of.
type gatherer struct {
	deps   Deps
	writer writer
	// secrets has the storage Secrets, which are watched.
	secrets client.Reader
}

// mesh answers what all objects of a namespace share, but for claims. ok is false when there is nothing to be made: the
// namespace is gone, or on its way.
func (g gatherer) mesh(ctx context.Context, namespace string, c config.Config) (m resources.Mesh, ok bool, err error) {
	m = resources.Mesh{
		Namespace: namespace, Config: c, ControllerAddress: g.deps.ControllerAddress, HostImage: g.deps.HostImage,
	}
	if m.Owner, ok, err = g.owner(ctx, namespace); err != nil || !ok {
		return m, false, err
	}
	m.TLSSecret, m.TLSFault, err = g.tlsSecret(ctx, namespace, c.TLS.SecretName)
	return m, true, err
}

// owner of what belongs to the namespace. Nobody if the controller's Deployment is not there, as when it runs elsewhere.
func (g gatherer) owner(ctx context.Context, namespace string) (owner metav1.OwnerReference, ok bool, err error) {
	if g.deps.NamespaceScope {
		key := types.NamespacedName{Namespace: g.deps.ControllerNamespace, Name: g.deps.ControllerDeployment}
		d, found, err := g.writer.findDeployment(ctx, key)
		if err != nil {
			return owner, false, err
		}
		if found {
			owner = metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID}
		}
		return owner, true, nil
	}
	ns := &corev1.Namespace{}
	if err := g.writer.cached.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
		if apierrors.IsNotFound(err) {
			return owner, false, nil
		}
		return owner, false, fmt.Errorf("read namespace %s: %w", namespace, err)
	}
	owner = metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: ns.Name, UID: ns.UID}
	return owner, ns.DeletionTimestamp == nil && ns.Status.Phase != corev1.NamespaceTerminating, nil
}

// tlsSecret asks the API server, since the cache holds no Secret that the controller need not know. fault says why the one
// that is there cannot be used.
func (g gatherer) tlsSecret(ctx context.Context, namespace, name string) (secret *resources.TLSSecret, fault, err error) {
	if name == "" {
		return nil, nil, nil
	}
	s := &corev1.Secret{}
	err = g.writer.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, nil
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("the controller may not read Secret %s of namespace %s, which tls.secretName names: add it to "+
			"rbac.secretNames of the chart", name, namespace), nil
	case err != nil:
		return nil, nil, fmt.Errorf("read the Secret of TLS: %w", err)
	}
	secret, fault = resources.ReadTLSSecret(s)
	return secret, fault, nil
}

// tlsLook is when a mesh is looked at again for what its Secret of TLS holds; zero for not at all. Without clientAuth one
// that can be used has nothing more to tell.
func tlsLook(m resources.Mesh) time.Duration {
	switch {
	case m.TLSProblem() != nil:
		return unusableSecretInterval
	case m.Config.TLS.ClientAuth != config.ClientAuthNone:
		return usableSecretInterval
	}
	return 0
}

// claims answers the PersistentVolumeClaims that the pods of a runtime mount: those that the storage Secret names, those
// that models name if they may, and of these those that there are. A claim that is being deleted is none: no pod could
// start with it, and it goes when the last one has let go.
func (g gatherer) claims(ctx context.Context, namespace string, c config.Config, w want) ([]string, error) {
	secret := &corev1.Secret{}
	err := g.secrets.Get(ctx, types.NamespacedName{Namespace: namespace, Name: c.StorageSecretName}, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read the storage Secret: %w", err)
	}
	named := resources.Claims(secret.Data, w.held)
	var there []string
	for _, name := range named {
		claim := claimMetadata()
		err := g.writer.cached.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, claim)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("read claim %s: %w", name, err)
		case claim.DeletionTimestamp == nil:
			there = append(there, name)
		}
	}
	return slices.Clip(there), nil
}

// claimMetadata is a claim of which only that it is there counts.
func claimMetadata() *metav1.PartialObjectMetadata {
	claim := &metav1.PartialObjectMetadata{}
	claim.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
	return claim
}

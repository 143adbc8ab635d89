package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// recheckEvery is how often objects are looked at without a reason: nobody watches the Secret of the authorities.
	recheckEvery = time.Hour
	// firstRetry and lastRetry are the pauses after a failure.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// callTimeout bounds one call of the API server.
	callTimeout = 10 * time.Second
)

// managedBy labels the objects that are made.
func managedBy() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "wasmesh", "app.kubernetes.io/managed-by": "wasmesh-controller"}
}

// Run keeps the authorities, the serving certificate and the objects of all namespaces until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	pause := firstRetry
	for ctx.Err() == nil {
		due, err := a.work(ctx)
		wait := min(max(due.Sub(a.config.Now()), 0), recheckEvery)
		if err != nil && ctx.Err() == nil {
			a.logger.Error("identity of the mesh is not up to date", "error", err, "retry_in", pause)
			wait, pause = pause, min(2*pause, lastRetry)
		} else {
			pause = firstRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// work does everything that is due, and answers when there is more. What fails for one namespace holds up no other.
func (a *Authority) work(ctx context.Context) (time.Time, error) {
	now := a.config.Now()
	kept, err := a.keepAuthorities(ctx, now)
	if err != nil {
		return now, err
	}
	serving, err := a.serve(a.present.Load(), kept, now)
	if err != nil {
		return now, err
	}
	a.present.Store(serving)
	a.metrics.show(serving)
	a.isReady.Do(func() { close(a.ready) })
	due := serving.renew
	if next := kept.due(); next.Before(due) {
		due = next
	}
	var errs []error
	if namespaces := a.namespaces.Load(); namespaces != nil {
		for _, namespace := range *namespaces {
			next, err := a.equip(ctx, namespace, serving.bundle, now)
			if err != nil {
				errs = append(errs, fmt.Errorf("namespace %s: %w", namespace, err))
			} else if next.Before(due) {
				due = next
			}
		}
	}
	return due, errors.Join(errs...)
}

// keepAuthorities reads or makes the Secret, and does the step that is due.
func (a *Authority) keepAuthorities(ctx context.Context, now time.Time) (kept authorities, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: a.config.Namespace, Name: CASecret}}
	err = a.config.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	absent := apierrors.IsNotFound(err)
	switch {
	case absent:
		secret = &corev1.Secret{
			ObjectMeta: metaOf(a.config.Namespace, CASecret),
			Type:       corev1.SecretTypeTLS,
		}
	case err != nil:
		return kept, fmt.Errorf("read Secret %s/%s: %w", a.config.Namespace, CASecret, err)
	default:
		if kept, err = decodeAuthorities(secret.Data, secret.Annotations[signingAnnotation]); err != nil {
			return kept, fmt.Errorf("the Secret %s/%s is damaged: %w; restore it, or delete it: then a new authority is made, and every host asks for a new certificate",
				a.config.Namespace, CASecret, err)
		}
	}
	kept, changed, err := kept.step(now, newAuthority)
	if err != nil || !changed {
		return kept, err
	}
	var signing string
	if secret.Data, signing, err = kept.encode(); err != nil {
		return kept, err
	}
	annotate(secret, signingAnnotation, signing)
	if err := a.write(ctx, secret, absent); err != nil {
		return kept, fmt.Errorf("write Secret %s/%s: %w", a.config.Namespace, CASecret, err)
	}
	a.logger.Info("authorities of the mesh have changed", "made", absent, "trusted", len(kept.trusted()), "signs_until", kept.signer.cert.NotAfter)
	return kept, nil
}

// write makes or updates an object. Another writer's change in between is an error, and the next attempt reads it.
func (a *Authority) write(ctx context.Context, object client.Object, absent bool) error {
	if absent {
		return a.config.Client.Create(ctx, object)
	}
	return a.config.Client.Update(ctx, object)
}

func annotate(object client.Object, key, value string) {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
}

// equip gives a namespace what its hosts need, and answers when to look at it again. A namespace that is being deleted
// needs nothing.
func (a *Authority) equip(ctx context.Context, namespace string, bundle []byte, now time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	due, err := a.keepMeshKey(ctx, namespace, now)
	err = errors.Join(err, a.publishAuthorities(ctx, namespace, bundle))
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return now.Add(recheckEvery), nil
	}
	return due, err
}

func (a *Authority) publishAuthorities(ctx context.Context, namespace string, bundle []byte) error {
	config := &corev1.ConfigMap{}
	err := a.config.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: CAConfigMap}, config)
	absent := apierrors.IsNotFound(err)
	switch {
	case absent:
		config = &corev1.ConfigMap{ObjectMeta: metaOf(namespace, CAConfigMap)}
	case err != nil:
		return fmt.Errorf("read ConfigMap %s: %w", CAConfigMap, err)
	case config.Data[CAKey] == string(bundle):
		return nil
	}
	if config.Data == nil {
		config.Data = map[string]string{}
	}
	config.Data[CAKey] = string(bundle)
	if err := a.write(ctx, config, absent); err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", CAConfigMap, err)
	}
	return nil
}

func (a *Authority) keepMeshKey(ctx context.Context, namespace string, now time.Time) (time.Time, error) {
	secret := &corev1.Secret{}
	err := a.config.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: MeshKeySecret}, secret)
	absent := apierrors.IsNotFound(err)
	keys := meshKeys{}
	switch {
	case absent:
		secret = &corev1.Secret{ObjectMeta: metaOf(namespace, MeshKeySecret), Type: corev1.SecretTypeOpaque}
	case err != nil:
		return now, fmt.Errorf("read Secret %s: %w", MeshKeySecret, err)
	default:
		keys, err = decodeMeshKeys(secret.Data[MeshKeyKey], secret.Annotations[phaseAnnotation], secret.Annotations[sinceAnnotation], now)
		if err != nil {
			return now, fmt.Errorf("the Secret %s is damaged: %w; delete it, then a new key is made, and restart the hosts of the namespace", MeshKeySecret, err)
		}
	}
	keys, changed := keys.step(now)
	if !changed {
		return keys.due(), nil
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[MeshKeyKey] = keys.encode()
	annotate(secret, phaseAnnotation, string(keys.phase))
	annotate(secret, sinceAnnotation, keys.since.UTC().Format(time.RFC3339))
	if err := a.write(ctx, secret, absent); err != nil {
		return now, fmt.Errorf("write Secret %s: %w", MeshKeySecret, err)
	}
	a.logger.Info("key of the mesh has changed", "namespace", namespace, "made", absent, "phase", string(keys.phase))
	return keys.due(), nil
}

func metaOf(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: managedBy()}
}

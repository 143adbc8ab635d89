package stubhost

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// labelService is what the controller knows the pods of a mesh by.
	labelService = "modelmesh-service"
	// poll is how often it is looked whether the controller has published its authority.
	poll = 50 * time.Millisecond
)

// Pod makes the pod of a host, unless it is there, and has it running. The ServiceAccount "default" must be there.
func Pod(ctx context.Context, config *rest.Config, namespace, name string) (*corev1.Pod, error) {
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make pod: %w", err)
	}
	pods := cluster.CoreV1().Pods(namespace)
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelService: "modelmesh-serving"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "mm", Image: "none"}}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		pod, err = pods.Get(ctx, name, metav1.GetOptions{})
	}
	if err == nil && pod.Status.Phase != corev1.PodRunning {
		pod.Status.Phase = corev1.PodRunning
		pod, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("make pod %s/%s: %w", namespace, name, err)
	}
	return pod, nil
}

// Enrol has the controller sign a key for a pod, as a host would, and answers what the host connects with.
func Enrol(ctx context.Context, config *rest.Config, controller, controllerNamespace string, pod *corev1.Pod) (credentials.TransportCredentials, error) {
	made, err := enrol(ctx, config, controller, controllerNamespace, pod)
	if err != nil {
		return nil, fmt.Errorf("enrol host %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return made, nil
}

func enrol(ctx context.Context, config *rest.Config, controller, controllerNamespace string, pod *corev1.Pod) (credentials.TransportCredentials, error) {
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	err = wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		cm, err := cluster.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, "wasmesh-ca", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && roots.AppendCertsFromPEM([]byte(cm.Data["ca.crt"])), err
	})
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	token, err := cluster.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences:      []string{meshcert.Audience},
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make token: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "wasmesh-controller." + controllerNamespace + ".svc"}
	conn, err := grpc.NewClient(controller, grpc.WithTransportCredentials(credentials.NewTLS(settings.Clone())))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	response, err := syncv1.NewIdentityServiceClient(conn).Issue(ctx,
		&syncv1.IssueRequest{CertificateRequest: request, Token: token.Status.Token}, grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	settings.Certificates = []tls.Certificate{{Certificate: response.GetCertificates(), PrivateKey: key}}
	return credentials.NewTLS(settings), nil
}

//go:build cluster

package guides

// kserveDefinition has the shape of KServe's InferenceService: its fields, enumerations, columns and pruning, for what a
// mesh and its neighbour read and write, in words of our own. Nothing but the spec's depths takes unknown fields.
const kserveDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: inferenceservices.serving.kserve.io
  labels: {app.kubernetes.io/part-of: kserve}
  annotations: {controller-gen.kubebuilder.io/version: v0.12.0}
spec:
  group: serving.kserve.io
  scope: Namespaced
  names: {kind: InferenceService, listKind: InferenceServiceList, plural: inferenceservices, singular: inferenceservice, shortNames: [isvc]}
  versions:
    - name: v1beta1
      served: true
      storage: true
      subresources: {status: {}}
      additionalPrinterColumns:
        - {name: URL, type: string, jsonPath: .status.url}
        - {name: Ready, type: string, jsonPath: ".status.conditions[?(@.type=='Ready')].status"}
        - {name: Prev, type: integer, jsonPath: ".status.components.predictor.traffic[?(@.tag=='prev')].percent"}
        - {name: Latest, type: integer, jsonPath: ".status.components.predictor.traffic[?(@.latestRevision==true)].percent"}
        - {name: PrevRolledoutRevision, type: string, jsonPath: ".status.components.predictor.traffic[?(@.tag=='prev')].revisionName"}
        - {name: LatestReadyRevision, type: string, jsonPath: ".status.components.predictor.traffic[?(@.latestRevision==true)].revisionName"}
        - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              properties:
                predictor: {type: object, x-kubernetes-map-type: atomic, x-kubernetes-preserve-unknown-fields: true}
                transformer: {type: object, x-kubernetes-map-type: atomic, x-kubernetes-preserve-unknown-fields: true}
                explainer: {type: object, x-kubernetes-map-type: atomic, x-kubernetes-preserve-unknown-fields: true}
            status:
              type: object
              properties:
                address:
                  type: object
                  properties: {url: {type: string}, name: {type: string}, CACerts: {type: string}}
                annotations: {type: object, additionalProperties: {type: string}}
                components:
                  type: object
                  additionalProperties:
                    type: object
                    properties:
                      address: {type: object, properties: {url: {type: string}}}
                      grpcUrl: {type: string}
                      restUrl: {type: string}
                      url: {type: string}
                      latestCreatedRevision: {type: string}
                      latestReadyRevision: {type: string}
                      latestRolledoutRevision: {type: string}
                      previousRolledoutRevision: {type: string}
                      traffic:
                        type: array
                        items:
                          type: object
                          properties:
                            configurationName: {type: string}
                            latestRevision: {type: boolean}
                            percent: {type: integer, format: int64}
                            revisionName: {type: string}
                            tag: {type: string}
                            url: {type: string}
                conditions:
                  type: array
                  items:
                    type: object
                    required: [status, type]
                    properties:
                      lastTransitionTime: {type: string}
                      message: {type: string}
                      reason: {type: string}
                      severity: {type: string}
                      status: {type: string}
                      type: {type: string}
                modelStatus:
                  type: object
                  properties:
                    copies:
                      type: object
                      required: [failedCopies]
                      properties: {failedCopies: {type: integer, default: 0}, totalCopies: {type: integer}}
                    lastFailureInfo:
                      type: object
                      properties:
                        exitCode: {type: integer, format: int32}
                        location: {type: string}
                        message: {type: string}
                        modelRevisionName: {type: string}
                        reason:
                          type: string
                          enum: [ModelLoadFailed, RuntimeUnhealthy, RuntimeDisabled, NoSupportingRuntime, RuntimeNotRecognized, InvalidPredictorSpec]
                        time: {type: string, format: date-time}
                    states:
                      type: object
                      required: [activeModelState]
                      properties:
                        activeModelState: {type: string, default: Pending, enum: ["", Pending, Standby, Loading, Loaded, FailedToLoad]}
                        targetModelState: {type: string, default: "", enum: ["", Pending, Standby, Loading, Loaded, FailedToLoad]}
                    transitionStatus: {type: string, default: UpToDate, enum: ["", UpToDate, InProgress, BlockedByFailedLoad, InvalidSpec]}
                  required: [transitionStatus]
                observedGeneration: {type: integer, format: int64}
                url: {type: string}
`

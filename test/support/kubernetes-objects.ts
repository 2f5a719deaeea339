import { z } from "zod";

/*
 * The fields of Kubernetes' and KEDA's objects that the manifests use, by the reference of Kubernetes 1.31 (apps/v1, autoscaling/v2,
 * policy/v1, networking.k8s.io/v1) and of KEDA 2.19; strict, so that a field that is misspelt or at the wrong place is found. No server and
 * none of their published schemas are asked.
 */

const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
const labels = z.record(z.string(), z.string());
const metadata = z.strictObject({
  name,
  namespace: z.literal("antiphon"),
  labels: labels.optional(),
});
const quantity = z.string().regex(/^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$/);
const selector = z.strictObject({ matchLabels: labels });
const port = z.int().min(1).max(65535);

const probe = z.strictObject({
  httpGet: z.strictObject({ path: z.string().startsWith("/"), port: z.union([port, name]) }),
  initialDelaySeconds: z.int().optional(),
  periodSeconds: z.int().optional(),
  failureThreshold: z.int().optional(),
});
const keyRef = z.strictObject({ name, key: z.string() });
const environment = z.union([
  z.strictObject({ name: z.string(), value: z.string() }),
  z.strictObject({
    name: z.string(),
    valueFrom: z.union([
      z.strictObject({ secretKeyRef: keyRef }),
      z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.string() }) }),
    ]),
  }),
]);
export const Container = z.strictObject({
  name,
  image: z.string().regex(/^[^:]+:(?!latest$)[\w.-]+$/, "needs a tag that stays what it is"),
  command: z.array(z.string()).optional(),
  ports: z.array(z.strictObject({ name, containerPort: port })),
  envFrom: z.array(z.strictObject({ configMapRef: z.strictObject({ name }) })),
  env: z.array(environment),
  livenessProbe: probe,
  readinessProbe: probe.optional(),
  resources: z.strictObject({
    requests: z.record(z.string(), quantity),
    limits: z.record(z.string(), quantity),
  }),
  securityContext: z.strictObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]) }),
  }),
  volumeMounts: z.array(
    z.strictObject({
      name,
      mountPath: z.string().startsWith("/"),
      readOnly: z.boolean().optional(),
    }),
  ),
});
const volume = z.union([
  z.strictObject({ name, emptyDir: z.strictObject({ sizeLimit: quantity.optional() }) }),
  z.strictObject({
    name,
    persistentVolumeClaim: z.strictObject({ claimName: name, readOnly: z.boolean() }),
  }),
]);
export const Deployment = z.strictObject({
  apiVersion: z.literal("apps/v1"),
  kind: z.literal("Deployment"),
  metadata,
  spec: z.strictObject({
    replicas: z.int().optional(),
    selector,
    strategy: z
      .strictObject({
        rollingUpdate: z.strictObject({ maxUnavailable: z.int(), maxSurge: z.int() }),
      })
      .optional(),
    template: z.strictObject({
      metadata: z.strictObject({ labels }),
      spec: z.strictObject({
        serviceAccountName: name,
        terminationGracePeriodSeconds: z.int(),
        securityContext: z.strictObject({
          runAsNonRoot: z.literal(true),
          runAsUser: z.int().min(1),
          runAsGroup: z.int().min(1),
          fsGroup: z.int().min(1).optional(),
          seccompProfile: z.strictObject({ type: z.literal("RuntimeDefault") }),
        }),
        tolerations: z
          .array(
            z.strictObject({
              key: z.string(),
              operator: z.enum(["Exists", "Equal"]),
              effect: z.enum(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
            }),
          )
          .optional(),
        containers: z.tuple([Container]),
        volumes: z.array(volume),
      }),
    }),
  }),
});

const target = z.strictObject({
  apiVersion: z.literal("apps/v1"),
  kind: z.literal("Deployment"),
  name,
});
const pace = z.strictObject({
  stabilizationWindowSeconds: z.int().min(0).max(3600),
  policies: z.array(
    z.strictObject({
      type: z.enum(["Pods", "Percent"]),
      value: z.int().min(1),
      periodSeconds: z.int().min(1).max(1800),
    }),
  ),
});
const behavior = z.strictObject({ scaleUp: pace, scaleDown: pace });
export const ScaledObject = z.strictObject({
  apiVersion: z.literal("keda.sh/v1alpha1"),
  kind: z.literal("ScaledObject"),
  metadata,
  spec: z.strictObject({
    scaleTargetRef: target,
    minReplicaCount: z.int().min(0),
    maxReplicaCount: z.int().min(1),
    pollingInterval: z.int().min(1),
    cooldownPeriod: z.int().min(0),
    fallback: z.strictObject({
      failureThreshold: z.int(),
      replicas: z.int(),
      behavior: z.enum([
        "static",
        "currentReplicas",
        "currentReplicasIfHigher",
        "currentReplicasIfLower",
      ]),
    }),
    advanced: z.strictObject({ horizontalPodAutoscalerConfig: z.strictObject({ behavior }) }),
    triggers: z.tuple([
      z.strictObject({
        type: z.literal("metrics-api"),
        metricType: z.enum(["AverageValue", "Value"]),
        metadata: z.strictObject({
          url: z.url(),
          format: z.enum(["json", "xml", "yaml", "prometheus"]),
          valueLocation: z.string(),
          targetValue: z.string().regex(/^\d+(\.\d+)?$/),
        }),
      }),
    ]),
  }),
});

const openings = z.array(z.strictObject({ protocol: z.enum(["TCP", "UDP"]), port }));
export const KubernetesObject = z.discriminatedUnion("kind", [
  Deployment,
  ScaledObject,
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("Namespace"),
    metadata: z.strictObject({ name, labels }),
  }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("ConfigMap"),
    metadata,
    data: labels,
  }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("ServiceAccount"),
    metadata,
    automountServiceAccountToken: z.literal(false),
  }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("Service"),
    metadata,
    spec: z.strictObject({
      selector: labels,
      ports: z.array(z.strictObject({ name, port, targetPort: name })),
    }),
  }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("PersistentVolumeClaim"),
    metadata,
    spec: z.strictObject({
      accessModes: z.array(z.enum(["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"])),
      storageClassName: name,
      resources: z.strictObject({ requests: z.strictObject({ storage: quantity }) }),
    }),
  }),
  z.strictObject({
    apiVersion: z.literal("policy/v1"),
    kind: z.literal("PodDisruptionBudget"),
    metadata,
    spec: z.strictObject({ minAvailable: z.int().min(1), selector }),
  }),
  z.strictObject({
    apiVersion: z.literal("autoscaling/v2"),
    kind: z.literal("HorizontalPodAutoscaler"),
    metadata,
    spec: z.strictObject({
      scaleTargetRef: target,
      minReplicas: z.int().min(1),
      maxReplicas: z.int().min(1),
      metrics: z.array(
        z.strictObject({
          type: z.literal("Resource"),
          resource: z.strictObject({
            name: z.enum(["cpu", "memory"]),
            target: z.strictObject({
              type: z.literal("Utilization"),
              averageUtilization: z.int().min(1).max(100),
            }),
          }),
        }),
      ),
      behavior,
    }),
  }),
  z.strictObject({
    apiVersion: z.literal("networking.k8s.io/v1"),
    kind: z.literal("NetworkPolicy"),
    metadata,
    spec: z.strictObject({
      podSelector: z.strictObject({ matchLabels: labels.optional() }),
      policyTypes: z.array(z.enum(["Ingress", "Egress"])).min(1),
      ingress: z
        .array(
          z.strictObject({
            from: z.array(z.strictObject({ namespaceSelector: selector })).optional(),
            ports: openings,
          }),
        )
        .optional(),
      egress: z.array(z.strictObject({ ports: openings })).optional(),
    }),
  }),
]);
export type KubernetesObject = z.infer<typeof KubernetesObject>;

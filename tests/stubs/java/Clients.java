import com.netflix.conductor.client.grpc.EventClient;
import com.netflix.conductor.client.grpc.MetadataClient;
import com.netflix.conductor.client.grpc.TaskClient;
import com.netflix.conductor.client.grpc.WorkflowClient;
import com.netflix.conductor.common.metadata.tasks.Task;
import com.netflix.conductor.common.metadata.tasks.TaskResult;
import com.netflix.conductor.common.metadata.workflow.StartWorkflowRequest;
import com.netflix.conductor.common.metadata.workflow.WorkflowDef;
import com.netflix.conductor.common.metadata.workflow.WorkflowTask;
import com.netflix.conductor.common.run.Workflow;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The four clients of one server, and the few steps that every scene is made of. */
final class Clients implements AutoCloseable {
    static final String WORKER = "java";
    static final int POLL_MS = 5_000;
    private static final int END_MS = 30_000;
    private static final int LOOK_MS = 20;

    final MetadataClient metadata;
    final WorkflowClient workflows;
    final TaskClient tasks;
    final EventClient events;

    Clients(String host, int port) {
        metadata = new MetadataClient(host, port);
        workflows = new WorkflowClient(host, port);
        tasks = new TaskClient(host, port);
        events = new EventClient(host, port);
    }

    @Override
    public void close() throws InterruptedException {
        metadata.shutdown();
        workflows.shutdown();
        tasks.shutdown();
        events.shutdown();
    }

    void register(String name, WorkflowTask... tasks) {
        metadata.registerWorkflowDef(definition(name, tasks));
    }

    String start(String name, Map<String, Object> input) {
        return workflows.startWorkflow(new StartWorkflowRequest().withName(name).withInput(input));
    }

    /** The task that comes next; waits for it. */
    Task polled(String type) {
        List<Task> found = tasks.batchPollTasksByTaskType(type, WORKER, 1, POLL_MS);
        same("tasks polled", 1, found.size());
        return found.get(0);
    }

    void update(Task task, TaskResult.Status status, Map<String, Object> output) {
        TaskResult result = new TaskResult(task);
        result.setStatus(status);
        result.setOutputData(output);
        tasks.updateTask(result);
    }

    void complete(Task task, Map<String, Object> output) {
        update(task, TaskResult.Status.COMPLETED, output);
    }

    /** The execution with its tasks, once it has this status. */
    Workflow reached(String id, Workflow.WorkflowStatus status) throws InterruptedException {
        long limit = System.currentTimeMillis() + END_MS;
        Workflow found = workflows.getWorkflow(id, true);
        while (found.getStatus() != status && System.currentTimeMillis() < limit) {
            Thread.sleep(LOOK_MS);
            found = workflows.getWorkflow(id, true);
        }
        same("status", status, found.getStatus());
        return found;
    }

    static WorkflowDef definition(String name, WorkflowTask... tasks) {
        WorkflowDef definition = new WorkflowDef();
        definition.setName(name);
        definition.setVersion(1);
        definition.setOwnerEmail("owner@example.com");
        definition.setTasks(Arrays.asList(tasks));
        return definition;
    }

    static WorkflowTask task(String type, String name) {
        WorkflowTask task = new WorkflowTask();
        task.setType(type);
        task.setName(name);
        task.setTaskReferenceName(name);
        return task;
    }

    static void same(String what, Object expected, Object found) {
        if (!Objects.equals(expected, found)) {
            throw new AssertionError(what + ": expected " + expected + ", found " + found);
        }
    }

    static void refused(Status.Code code, Runnable call) {
        try {
            call.run();
        } catch (StatusRuntimeException refusal) {
            same("code", code, refusal.getStatus().getCode());
            return;
        }
        throw new AssertionError("expected " + code + ", found an answer");
    }
}

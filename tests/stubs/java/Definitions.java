import com.netflix.conductor.common.metadata.events.EventHandler;
import com.netflix.conductor.common.metadata.tasks.TaskDef;
import com.netflix.conductor.common.metadata.workflow.WorkflowDef;
import com.netflix.conductor.common.metadata.workflow.WorkflowTask;
import com.netflix.conductor.grpc.ProtoMapper;
import com.netflix.conductor.proto.EventHandlerPb;
import com.netflix.conductor.proto.TaskDefPb;
import com.netflix.conductor.proto.WorkflowDefPb;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Definitions and event handlers: stored, read back whole, changed, taken away. */
final class Definitions {
    private Definitions() {}

    static void tasks(Clients clients) {
        TaskDef defined = new TaskDef("define", "about it", "owner@example.com", 2, 60, 30);
        defined.setRetryDelaySeconds(7);
        defined.setRetryLogic(TaskDef.RetryLogic.EXPONENTIAL_BACKOFF);
        defined.setTimeoutPolicy(TaskDef.TimeoutPolicy.RETRY);
        defined.setInputKeys(List.of("a", "b"));
        defined.setInputTemplate(Map.of("colour", "blue"));
        defined.setConcurrentExecLimit(3);
        clients.metadata.registerTaskDefs(List.of(defined));
        Clients.same("task", sent(defined), sent(clients.metadata.getTaskDef("define")));

        defined.setRetryCount(5);
        clients.metadata.updateTaskDef(defined);
        Clients.same("retries", 5, clients.metadata.getTaskDef("define").getRetryCount());

        clients.metadata.unregisterTaskDef("define");
        Clients.refused(Status.Code.NOT_FOUND, () -> clients.metadata.getTaskDef("define"));
    }

    static void workflows(Clients clients) {
        WorkflowTask fork = Clients.task("FORK_JOIN", "fork");
        fork.setForkTasks(
                List.of(
                        List.of(Clients.task("SIMPLE", "left")),
                        List.of(Clients.task("SIMPLE", "right"))));
        WorkflowTask join = Clients.task("JOIN", "join");
        join.setJoinOn(List.of("left", "right"));
        WorkflowTask last = Clients.task("SIMPLE", "last");
        last.setInputParameters(Map.of("n", "${left.output.n}", "limits", List.of(1.0, 2.5, true)));
        WorkflowDef defined = Clients.definition("defined", fork, join, last);
        defined.setDescription("about it");
        defined.setOutputParameters(Map.of("n", "${last.output.n}"));
        defined.setInputTemplate(Map.of("colour", "blue"));
        defined.setTimeoutPolicy(WorkflowDef.TimeoutPolicy.ALERT_ONLY);
        clients.metadata.registerWorkflowDef(defined);
        defined.setVersion(2);
        defined.setDescription("about the second");
        clients.metadata.updateWorkflowDefs(List.of(defined));

        WorkflowDef first = clients.metadata.getWorkflowDef("defined", 1);
        Clients.same("description", "about it", first.getDescription());
        WorkflowDef latest = clients.metadata.getWorkflowDef("defined", null);
        Clients.same("version", 2, latest.getVersion());
        Clients.same("workflow", sent(defined), sent(latest));
    }

    static void eventHandlers(Clients clients) {
        EventHandler.StartWorkflow start = new EventHandler.StartWorkflow();
        start.setName("defined");
        start.setTaskToDomain(Map.of()); // the client breaks on null, which is what it begins with
        EventHandler.Action action = new EventHandler.Action();
        action.setAction(EventHandler.Action.Type.start_workflow);
        action.setStart_workflow(start);
        EventHandler handler = new EventHandler();
        handler.setName("on-order");
        handler.setEvent("conductor:orders");
        handler.setActions(List.of(action));
        handler.setActive(false);
        clients.events.registerEventHandler(handler);
        handler.setActive(true);
        clients.events.updateEventHandler(handler);

        List<EventHandler> found = new ArrayList<>();
        clients.events.getEventHandlers("conductor:orders", true).forEachRemaining(found::add);
        Clients.same("handlers", 1, found.size());
        Clients.same("handler", sent(handler), sent(found.get(0)));

        clients.events.unregisterEventHandler("on-order");
        Clients.same(
                "handlers left",
                false,
                clients.events.getEventHandlers("conductor:orders", false).hasNext());
    }

    static void missing(Clients clients) {
        Clients.refused(Status.Code.NOT_FOUND, () -> clients.metadata.getTaskDef("absent"));
        Clients.refused(
                Status.Code.NOT_FOUND, () -> clients.metadata.getWorkflowDef("absent", null));
        Clients.refused(Status.Code.NOT_FOUND, () -> clients.workflows.getWorkflow("absent", true));
        Clients.refused(Status.Code.NOT_FOUND, () -> clients.start("absent", Map.of()));
        Clients.refused(Status.Code.NOT_FOUND, () -> clients.tasks.getTaskDetails("absent"));
    }

    /** As it goes over the wire, where unset is the same as empty. */
    private static TaskDefPb.TaskDef sent(TaskDef definition) {
        return ProtoMapper.INSTANCE.toProto(definition);
    }

    private static EventHandlerPb.EventHandler sent(EventHandler handler) {
        return ProtoMapper.INSTANCE.toProto(handler);
    }

    private static WorkflowDefPb.WorkflowDef sent(WorkflowDef definition) {
        return ProtoMapper.INSTANCE.toProto(definition);
    }
}

namespace Moe.Plugins;

/// <summary>
/// A promise that layers take turns, as those of one model do. It holds for the layers whose options have the same instance: a forward of one of them begins
/// after the forwards of the others before it have ended. On a device all are then enqueued on one stream, or on streams that wait for each other. In return a
/// backend may give all states of these layers, also several of one layer, the same memory.
/// </summary>
/// <remarks>
/// Layers that run on several streams at once, or ranks on threads of their own, must not share an instance. The host refuses a forward while another thread
/// enqueues one of them; what overlaps on a device it cannot see, and then results are wrong.
/// </remarks>
public sealed class MoeTurns
{
}

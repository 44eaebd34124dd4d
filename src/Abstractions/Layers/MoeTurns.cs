namespace Moe.Plugins;

/// <summary>
/// What layers have in common that take turns, as those of one model do. Whoever sets it promises that a forward of one of them begins after what came before
/// has ended: on a device all are enqueued on one stream, or on streams that wait for each other. In return a backend may give all states of these layers,
/// also several of one layer, the same memory.
/// </summary>
/// <remarks>
/// Layers that run on several streams at once, or ranks on threads of their own, must not have it in common. The host refuses a forward while another thread
/// enqueues one of them; what overlaps on a device it cannot see, and then results are wrong.
/// </remarks>
public sealed class MoeTurns
{
}

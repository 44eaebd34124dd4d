using System.Text.Json;

namespace Moe.Plugins.GptOss;

/// <summary>A function that the model may call.</summary>
/// <param name="Name">Its name, without <c>functions.</c>.</param>
/// <param name="Description">What it does; may be empty.</param>
/// <param name="Parameters">The JSON schema of its arguments.</param>
internal sealed record HarmonyFunction(string Name, string Description, JsonElement Parameters);
